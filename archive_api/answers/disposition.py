"""Content-Disposition (RFC 6266, RFC 8187). Pure."""

import unicodedata
from urllib.parse import quote

_ATTR_CHARS = "!#$&+-.^_`|~"
"""What may stand unescaped in an extended value besides letters and digits (RFC 8187, 3.2.1)."""

_NAME_MAX = 200


def disposition(kind: str, name: str) -> str:
    """The field for a file of this name; `kind` is `inline` or `attachment`.

    Control and formatting characters (line breaks, bidirectional overrides) are dropped, path separators replaced. A
    plain name stands as it is; any other also as UTF-8, which every browser of today prefers.
    """
    clean = "".join(char for char in name if unicodedata.category(char)[0] != "C").replace("/", "_").replace("\\", "_")
    clean = clean[-_NAME_MAX:] or "recording"
    plain = "".join(char if char.isascii() and char not in '"%' else "_" for char in clean)
    field = f'{kind}; filename="{plain}"'
    return field if plain == clean else f"{field}; filename*=UTF-8''{quote(clean, safe=_ATTR_CHARS)}"
