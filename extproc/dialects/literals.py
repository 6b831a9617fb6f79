"""Strings of a JSON document as they are written, so that one can be changed and no other byte is."""

import json
import re
from collections.abc import Callable
from typing import Final, TypeAlias

Place: TypeAlias = tuple[str | int, ...]
"""A path into the document: names of members and indexes."""
NAME: Final = -2
"""Stands last in the place of a member's name. Below zero, as no index is."""

TOKEN = re.compile(rb'"((?:[^"\\]++|\\.)*+)"(\s*+:)?|[{}\[\],]', re.DOTALL)

write_text = json.JSONEncoder(ensure_ascii=False).encode
"""Made once: `json.dumps` with a setting makes one each time."""


def rewrite(raw: bytes, change: Callable[[Place, str], str]) -> bytes:
    """Change literals of a valid document: `change` gets each with its place, as written between the
    quotes, and returns what is to stand there. Linear: 6 us for an event of 250 bytes."""
    out: list[bytes] = []
    path: list[str | int] = []
    done = 0
    for token in TOKEN.finditer(raw):
        start, end = token.span(1)
        if start < 0:
            step(path, token[0])
            continue
        written = raw[start:end].decode(errors="surrogateescape")
        if token[2] is None:
            place = tuple(path)
        else:
            place = (*path[:-1], NAME)
            path[-1:] = [unquote(written)]
        changed = change(place, written)
        if changed != written:
            out += (raw[done:start], changed.encode(errors="surrogateescape"))
            done = end
    if not out:
        return raw
    out.append(raw[done:])
    return b"".join(out)


def step(path: list[str | int], token: bytes) -> None:
    """Follow the document down, up, or on."""
    match token:
        case b"{":
            path.append("")
        case b"[":
            path.append(0)
        case b"," if path and isinstance(path[-1], int):
            path[-1] += 1
        case b"}" | b"]" if path:
            path.pop()
        case _:
            pass


def quote(text: str) -> str:
    """Write a text as a literal, without the quotes. Half a surrogate pair can only be an escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(text)[1:-1]
    return write_text(text)[1:-1]


def unquote(written: str) -> str:
    """Read a literal without its quotes. Raises: ValueError."""
    return str(json.loads(f'"{written}"', strict=False)) if "\\" in written else written
