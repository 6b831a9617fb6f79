"""JSON that stands in a text, as arguments of tool calls do: read for what it says, written as it was."""

import json
import re

ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")


def read_inner(text: str) -> object:
    """Parse JSON that stands in a text. Raises: ValueError, for a member that stands twice as well:
    another reader might take the one that we drop."""
    try:
        inner: object = json.loads(text, object_pairs_hook=join, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return inner


def join(pairs: list[tuple[str, object]]) -> dict[str, object]:
    joined = dict(pairs)
    if len(joined) < len(pairs):
        raise ValueError("a member stands twice")
    return joined


def refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def unescape(text: str) -> str:
    """Read escapes where they stand in what is no JSON after all."""
    found = ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def write_inner(value: object, like: str) -> str:
    """Write JSON with the spaces and escapes of the text that it was read from."""
    between = (", ", ": ") if '": ' in like else (",", ":")
    text = json.dumps(value, ensure_ascii=like.isascii() and "\\u" in like, separators=between)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
        return json.dumps(value, separators=between)
    return text
