"""Query parameters: a name that nobody knows is an error, because a typing mistake must not widen an answer. Pure."""

import re
from collections.abc import Sequence

from archive_api.answers.problem import Problem

_DECIMAL = re.compile(r"[0-9]{1,3}(\.[0-9]{0,20})?|\.[0-9]{1,20}", re.ASCII)


def check(pairs: Sequence[tuple[str, str]], *known: str) -> dict[str, str]:
    """The parameters by name. Raises Problem 400 that names an unknown or repeated one."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            there = ", ".join(known) if known else "none"
            raise wrong(name, f"The query parameter {name!r} is not known here; known: {there}.")
        if name in found:
            raise wrong(name, f"The query parameter {name!r} is given twice.")
        found[name] = value
    return found


def whole(parameters: dict[str, str], name: str, low: int, high: int) -> int | None:
    """A whole number in decimal digits; None where it is not given. Raises Problem 400."""
    text = parameters.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        raise wrong(name, f"{name} is to be a whole number from {low} to {high}.")
    return int(text)


def fraction(parameters: dict[str, str], name: str, usual: float) -> float:
    """A decimal number from 0 to 1; `usual` where it is not given. Raises Problem 400."""
    text = parameters.get(name)
    if text is None:
        return usual
    if not _DECIMAL.fullmatch(text) or float(text) > 1:
        raise wrong(name, f"{name} is to be a number from 0 to 1.")
    return float(text)


def wrong(name: str, detail: str) -> Problem:
    """The problem 400 that a parameter is not as it has to be."""
    return Problem(400, detail, extra={"errors": [{"parameter": name[:100], "reason": detail[:300]}]})
