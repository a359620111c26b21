"""Settings as text, for `check-config`: every value that counts, secrets as stars."""

from dataclasses import fields, is_dataclass
from zoneinfo import ZoneInfo

from agent.config.settings import Settings


def effective(settings: Settings) -> str:
    """One line a value: where it stands, what it is."""
    return "".join(f"{path}: {value}\n" for path, value in _walk("", settings))


def _walk(path: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, tuple):
        return [line for index, item in enumerate(value) for line in _walk(f"{path}[{index}]", item)]
    if is_dataclass(value):
        prefix = f"{path}." if path else ""
        return [line for field in fields(value) for line in _walk(prefix + field.name, getattr(value, field.name))]
    return [(path, _shown(value))]


def _shown(value: object) -> str:
    if isinstance(value, ZoneInfo):
        return value.key
    return "-" if value is None else str(value)
