"""What is on air, as stations write it. Pure."""

TITLE_MOST = 1000
"""Characters."""


def decode_title(raw: bytes) -> str:
    """Text from UTF-8, else Latin-1; without control characters, at most 1000 characters."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return "".join(char for char in text if char.isprintable()).strip()[:TITLE_MOST]
