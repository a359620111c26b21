"""Templates for Home Assistant that come to terms with keys that are missing or null. Pure.

What is not known renders as `None`, which Home Assistant takes for "unknown"; a missing key without a default would
keep the old value and fill its log with warnings.
"""


def expression(*path: str) -> str:
    """The value at `path` of a JSON payload; none where it, or anything on the way, is missing or null."""
    found = "value_json"
    for key in path[:-1]:
        found = f"({found}.{key} | default({{}}, true))"
    return f"({found}.{path[-1]} | default(none))"


def value(*path: str) -> str:
    """Shows the value at `path`."""
    return f"{{{{ {expression(*path)} }}}}"


def on_off(*path: str, on: bool = True) -> str:
    """`ON` where the value is `on`, `OFF` where it is the other of true and false."""
    yes, no = str(on).lower(), str(not on).lower()
    chosen = f"'ON' if found is sameas {yes} else 'OFF' if found is sameas {no} else none"
    return f"{{% set found = {expression(*path)} %}}{{{{ {chosen} }}}}"


def attributes(*keys: str, **constant: str) -> str:
    """A JSON object of these keys of the payload, after the constants."""
    pairs = [f"'{key}': '{text}'" for key, text in constant.items()]
    pairs += [f"'{key}': {expression(key)}" for key in keys]
    return f"{{{{ {{{', '.join(pairs)}}} | to_json }}}}"
