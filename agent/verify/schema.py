"""Checks a value against the schemas that the package ships, as far as JSON Schema is used in them. Pure."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from typing import Any


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _is_number(value) and value == value // 1,
    "number": _is_number,
}
_SHOWN = 60


@cache
def _schema(name: str) -> dict[str, Any]:
    text = resources.files("agent.schemas").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def problems(name: str, value: object) -> list[str]:
    """Every place where `value` does not fit the schema `name`, as `clock.map[0]: …`; none where it does."""
    return list(_problems(_schema(name), value, ""))


def _problems(schema: dict[str, Any], value: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - any JSON
    here = place or "the whole"
    if "anyOf" in schema:
        tried = [list(_problems(one, value, place)) for one in schema["anyOf"]]
        if all(tried):
            yield from max(tried, key=_depth)
        return
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield f"{here} is {_shown(value)}, not {' or '.join(kinds)}"
        return
    if "const" in schema and (value != schema["const"] or isinstance(value, bool)):
        yield f"{here} is {_shown(value)}, not {_shown(schema['const'])}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{here} is {_shown(value)}, none of the words there are"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{here} is {_shown(value)}, which does not look as it should"
    if _is_number(value) and "minimum" in schema and value < schema["minimum"]:
        yield f"{here} is {_shown(value)}, below {schema['minimum']}"
    if isinstance(value, dict):
        yield from _of_object(schema, value, place)
    if isinstance(value, list):
        yield from _of_array(schema, value, place)


def _of_object(schema: dict[str, Any], value: dict[str, Any], place: str) -> Iterator[str]:
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{_inside(place, key)} is not there"
    for key, inner in schema.get("properties", {}).items():
        if key in value:
            yield from _problems(inner, value[key], _inside(place, key))


def _of_array(schema: dict[str, Any], value: list[Any], place: str) -> Iterator[str]:
    fixed = schema.get("prefixItems", [])
    if len(value) < schema.get("minItems", 0) or (schema.get("items") is False and len(value) > len(fixed)):
        yield f"{place} has {len(value)} entries, not {schema.get('minItems', 0)} or more"
        return
    for number, item in enumerate(value):
        inner = fixed[number] if number < len(fixed) else schema.get("items")
        if isinstance(inner, dict):
            yield from _problems(inner, item, f"{place}[{number}]")


def _inside(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _depth(found: list[str]) -> int:
    """How far a value went along with one of several schemas: the one that it was meant for names more places."""
    return max(one.split(" is ")[0].count(".") for one in found)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
