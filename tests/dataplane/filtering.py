"""The answer filter in a LuaJIT of its own, and a plain Python reference that says what it must do.

The reference reads whole bodies with `json` and knows nothing of chunks.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lupa.luajit21 import LuaRuntime

from dataplane.render import answer_lua

HANDLE = Path(__file__).with_name("handle.lua")

SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"


@dataclass
class Filtered:
    chunks: list[bytes]
    """What became of each chunk, then of the empty last one if there was one."""
    usage: dict[str, int]
    headers: dict[str, str]
    is_finished: bool
    """The script has run to its end."""
    sets: int
    """How often metadata was written."""

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


class AnswerFilter:
    def __init__(self) -> None:
        self.lua = LuaRuntime(encoding=None)
        self.lua.execute(answer_lua().encode())
        self.lua.execute(HANDLE.read_bytes())
        self.drive = self.lua.globals()[b"drive"]

    def run(
        self,
        chunks: Sequence[bytes],
        *,
        strip: str | None = None,
        is_last_empty: bool = True,
        **headers: str,
    ) -> Filtered:
        """`headers` by name with underscores; content_type is SSE unless given."""
        sent = {"content_type": SSE} | headers
        table = self.lua.table_from(
            {name.replace("_", "-").encode(): value.encode() for name, value in sent.items()}
        )
        out, usage, left, status, sets = self.drive(
            table, strip and strip.encode(), self.lua.table_from(list(chunks)), is_last_empty
        )
        return Filtered(
            chunks=[out[i + 1] for i in range(len(chunks) + is_last_empty)],
            usage={name.decode(): int(value) for name, value in usage.items()},
            headers={name.decode(): value.decode() for name, value in left.items()},
            is_finished=status == b"dead",
            sets=sets,
        )


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    """`body` in pieces that end at `places`, any order; empty pieces are left out."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[a:b] for a, b in pairwise(edges)]


def counted(usage: object) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    said = {name: value for name, value in usage.items() if is_count(value)}
    parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    counts = {}
    if "prompt_tokens" in said:
        counts["prompt_tokens"] = said["prompt_tokens"]
    elif "input_tokens" in said:
        counts["prompt_tokens"] = sum(said.get(part, 0) for part in parts)
    for name in ("completion_tokens", "output_tokens"):
        if name in said:
            counts.setdefault("completion_tokens", said[name])
    # Of the two names of the details, the first that is there at all decides.
    [details] = [usage[d] for d in DETAILS if d in usage][:1] or [None]
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if is_count(cached):
        counts["cached_tokens"] = cached
    elif "cache_read_input_tokens" in said:
        counts["cached_tokens"] = said["cache_read_input_tokens"]
    return counts


DETAILS = ("prompt_tokens_details", "input_tokens_details")


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**15


def top_level(document: str) -> dict[str, object]:
    try:
        value = json.loads(document)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# Atomic groups: the LF of a CRLF must never pass for an empty line.
COMPLETE = rb"(?>[^\r\n]+(?>\r\n|\n|\r))*(?>\r\n|\n|\r)"
EVENT = re.compile(COMPLETE + rb"|.+\Z", re.DOTALL)
DATA_OBJECT = re.compile(r"(?:\A|[\r\n])data:[ \t]*\{")
COMPLETE_EVENT = re.compile(COMPLETE)


def events_of(body: bytes) -> list[bytes]:
    """The raw events with what ends them; the last one may be unterminated."""
    return [match[0] for match in EVENT.finditer(body)]


def document_of(event: bytes) -> str:
    lines = re.split(r"\r\n|\n|\r", event.decode())
    return "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))


def expected_usage(body: bytes, kind: str) -> dict[str, int]:
    documents = [body.decode()] if kind == JSON else map(document_of, events_of(body))
    counts: dict[str, int] = {}
    for document in documents:
        for usage in usages_of(document, is_event=kind == SSE):
            counts |= counted(usage)
    return counts


class Members(dict[str, object]):
    """An object that remembers every pair: a name may come twice, whatever it should."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def usages_of(document: str, *, is_event: bool) -> list[object]:
    """The value of every top-level "usage", and of those within an event's response or message, in order."""
    try:
        whole = json.loads(document, object_pairs_hook=Members)
    except ValueError:
        return []
    found: list[object] = []
    for name, value in whole.pairs if isinstance(whole, Members) else []:
        if name == "usage":
            found.append(value)
        elif is_event and name in ("response", "message") and isinstance(value, Members):
            found += [inner for inner_name, inner in value.pairs if inner_name == "usage"]
    return found


def expected_strip(body: bytes, mode: str) -> bytes:
    return b"".join(strip_event(event, mode) for event in events_of(body))


def strip_event(event: bytes, mode: str) -> bytes:
    members = top_level(document_of(event))
    if "usage" not in members:
        return event
    is_usage_only = members.get("choices") == []
    if mode == "usage" and is_usage_only and members["usage"] is not None:
        return b""
    if mode == "continuous" and (is_usage_only or "choices" not in members):
        return event
    return cut_usage(event)


def cut_usage(event: bytes) -> bytes:
    """Without its usage members, found by walking the document with json's own decoder. One data line only."""
    text = event.decode()
    start = DATA_OBJECT.search(text).end() - 1
    decoder = json.JSONDecoder()
    place = start + 1
    kept: list[str] = []  # each member with the space before it, up to its comma or the brace
    while True:
        begin = place
        place = skip_space(text, place)
        if text[place] == "}":
            break
        name_at = place
        name, place = decoder.raw_decode(text, place)
        place = skip_space(text, skip_space(text, place) + 1)
        _, place = decoder.raw_decode(text, place)
        value_end = place
        place = skip_space(text, place)
        kept.append((name, text[begin:name_at], text[name_at:value_end], text[value_end:place]))
        if text[place] == ",":
            place += 1
    out = ""
    for i, (name, before, member, after) in enumerate(kept):
        is_last = i == len(kept) - 1
        if name != "usage":
            out += ("," if out_has_member(kept[:i]) else "") + before + member + after
        elif out_has_member(kept[:i]):
            out += after  # the comma before it goes, and the space after that comma
        else:
            out += before + (after if is_last else "")
    return (text[: start + 1] + out + text[place:]).encode()


def out_has_member(members: Sequence[tuple[str, str, str, str]]) -> bool:
    return any(name != "usage" for name, *_ in members)


def skip_space(text: str, place: int) -> int:
    while text[place] in " \t\r\n":
        place += 1
    return place
