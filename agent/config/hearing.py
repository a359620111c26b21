"""What is listened for: the keys `level_interval` and `events`, of all sources or of one."""

from agent.config import values
from agent.config.node import Section
from agent.model import EventRule, Hearing

_LOUD = EventRule(threshold_dbfs=-20.0, hysteresis_db=3.0, min_duration_s=0.2, hold_s=2.0)
_SILENCE = EventRule(threshold_dbfs=-60.0, hysteresis_db=3.0, min_duration_s=30.0, hold_s=1.0)
DEFAULT = Hearing(level_interval_s=1.0, loud=_LOUD, silence=None)


def read(section: Section, default: Hearing) -> Hearing:
    """The hearing of a section; what it does not say is as in `default`."""
    events = section.section("events")
    hearing = Hearing(
        level_interval_s=section.value("level_interval", _interval_s, default.level_interval_s),
        loud=_rule(events, "loud", default.loud, _LOUD),
        silence=_rule(events, "silence", default.silence, _SILENCE),
    )
    events.close()
    return hearing


def _rule(events: Section, key: str, default: EventRule | None, of_its_kind: EventRule) -> EventRule | None:
    """A block of keys switches listening on, `off` switches it off."""
    if key not in events or events.is_scalar(key):
        return events.value(key, _off, default)
    block = events.section(key)
    start = default or of_its_kind
    block.value("unit", values.one_of("dbfs"), "dbfs")
    rule = EventRule(
        threshold_dbfs=block.value("threshold", values.number(-119, 0), start.threshold_dbfs),
        hysteresis_db=block.value("hysteresis", values.number(0, 40), start.hysteresis_db),
        min_duration_s=block.value("min_duration", values.between_s(0, 3600), start.min_duration_s),
        hold_s=block.value("hold", values.between_s(0, 3600), start.hold_s),
    )
    block.close()
    return rule


def _off(text: str) -> None:
    if text.lower() != "off":
        raise ValueError("off, or keys like threshold and min_duration, are expected")


def _interval_s(text: str) -> float | None:
    return None if text.lower() == "off" else values.between_s(0.1, 10)(text)
