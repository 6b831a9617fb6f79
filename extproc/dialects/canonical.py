"""A prompt as one text that begins alike where the engine's does: to hash beginnings by.

It is no chat template. It only has to be the same for the same conversation, and another one where
the conversation differs; what stands first in all templates, tools and what is said to the system,
stands first here.
"""

import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
import xxhash

from extproc.dialects.body import Document
from extproc.dialects.lengths import PROMPTS, as_list
from extproc.request import Kind

TURN, SAYS = "\x1e", "\x1f"
"""Record and unit separator: in no prompt that is a text, so no two conversations look alike."""
LONG_CHARS = 1_024
"""A text within a part that is longer is a picture or a sound: it is hashed, not kept."""
SYSTEM: Mapping[Kind, str] = {Kind.RESPONSES: "instructions", Kind.MESSAGES: "system"}
"""Where dialects have it beside the messages."""
TOKEN_ID_BYTES = 4
TEXTUAL = frozenset({"text", "input_text", "output_text"})


def write_prompt(kind: Kind, document: Document, most_bytes: int) -> bytes:
    """Write the first `most_bytes` or some more; a prompt of token ids as four bytes for each.

    Cost: 0.3 us for a message that is a role and a text; time and memory grow with what is written.
    Of several prompts, the first one. Ends before a message that is nested too deeply.
    """
    items = as_list(document.get(PROMPTS[kind]))
    if kind in (Kind.COMPLETIONS, Kind.EMBEDDINGS):
        return write_bare(items, most_bytes)
    parts: list[str] = []
    if tools := document.get("tools"):
        parts.append(as_json(tools))
    if (name := SYSTEM.get(kind)) and (system := document.get(name)):
        parts += (TURN, "system", SAYS, write_content(system))
    length = sum(map(len, parts))
    for item in items:
        if length > most_bytes:
            break
        try:
            part = write_message(item)
        except RecursionError:  # parsers bear more than we do
            break
        parts.append(part)
        length += len(part)
    return "".join(parts).encode("utf-8", "surrogatepass")


def write_bare(items: Sequence[object], most_bytes: int) -> bytes:
    first = items[0] if items else ""
    if isinstance(first, str):
        return first[:most_bytes].encode("utf-8", "surrogatepass")
    ids = cast("Sequence[int]", items if isinstance(first, int) else as_list(first))
    return write_ids(ids[: most_bytes // TOKEN_ID_BYTES])


def write_ids(ids: Sequence[int]) -> bytes:
    """As `engines.blocks.token_bytes`. Nothing, if they are no token ids."""
    try:
        packed = array("I", ids)
    except (OverflowError, TypeError):
        return b""
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def write_message(message: object) -> str:
    if not isinstance(message, dict):
        return f"{TURN}{SAYS}{message if isinstance(message, str) else as_json(message)}"
    members = cast("dict[str, Any]", message)
    role, content = members.get("role"), members.get("content")
    if len(members) == 2 and type(content) is str:
        return f"{TURN}{role}{SAYS}{content}"
    others = {k: v for k, v in members.items() if k not in ("role", "content") and v}
    return f"{TURN}{role}{SAYS}{write_content(content)}{as_json(shorten(others)) if others else ''}"


def write_content(content: object) -> str:
    """A text, or parts: texts as they are, all else by its value, what is large by its hash."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(map(write_part, cast("list[object]", content)))


def write_part(part: object) -> str:
    if not isinstance(part, dict):
        return as_json(shorten(part))
    members = cast("dict[str, object]", part)
    text = members.get("text")
    if members.get("type") in TEXTUAL and isinstance(text, str):
        return text
    return as_json(shorten(members))


def shorten(value: object) -> object:
    """Put hashes for long texts, however deep."""
    if isinstance(value, str):
        return value if len(value) <= LONG_CHARS else hash_text(value)
    if isinstance(value, dict):
        return {k: shorten(v) for k, v in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [shorten(each) for each in cast("list[object]", value)]
    return value


def hash_text(text: str) -> str:
    return xxhash.xxh3_128_hexdigest(text.encode("utf-8", "surrogatepass"))


def as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
