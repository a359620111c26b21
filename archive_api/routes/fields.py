"""Header fields of a request as the pure parts want them."""

from starlette.types import Scope

from archive_api.answers.conditions import Fields


def fields_of(scope: Scope) -> Fields:
    """Header lines by name in lower case, in the order they came."""
    fields: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return fields
