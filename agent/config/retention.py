"""How long recordings are kept: the keys of `retention`, of all sources or of one."""

from agent.config import values
from agent.config.node import Section
from agent.model import Retention

DEFAULT = Retention()
_LEAST_AGE_S, _MOST_AGE_S = 60, 100 * 366 * 86400


def read(section: Section, default: Retention) -> Retention:
    """The rules of a section; what it does not say is as in `default`."""
    age_s = values.or_off(values.between_s(_LEAST_AGE_S, _MOST_AGE_S))
    size = values.or_off(values.size_bytes)
    rules = Retention(
        max_age_s=section.value("max_age", age_s, default.max_age_s),
        max_size_bytes=section.value("max_size", size, default.max_size_bytes),
        min_free_bytes=section.value("min_free", size, default.min_free_bytes),
        protected_too=section.value("protected_too", values.boolean, default.protected_too),
        ledger_max_age_s=section.value("ledger_max_age", age_s, default.ledger_max_age_s),
    )
    section.close()
    return rules


def of_source(section: Section, default: Retention) -> Retention:
    """The rules of one source. `max_size` of all sources is about all of them together, so it is nobody's own."""
    own = Retention(default.max_age_s, None, default.min_free_bytes, default.protected_too, default.ledger_max_age_s)
    return read(section, own)
