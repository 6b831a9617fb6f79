"""Texts of a streamed answer: which of them an event goes on with, and which it ends.

A stream carries several texts at once: each choice or block has its own, and in it content, reasoning,
a refusal, arguments of tool calls. A `Channel` names one; its pieces, joined, are the text.

Events that repeat a whole text, as `response.output_text.done` does, are no pieces: what they hold
stands alone. Neither is what nobody knows.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from extproc.dialects.ending import Document, count, members, sse
from extproc.dialects.literals import Place
from extproc.request import Kind


class Channel(NamedTuple):
    """One text of a stream."""

    choice: int
    """Of a choice, a content block or an output item."""
    name: str
    """`content`, `reasoning`, `arguments`, ...; for responses the type of its events."""
    part: int = 0
    """Of a tool call or a content part in it."""

    @property
    def is_json(self) -> bool:
        """Whether the text is JSON itself: its strings have escapes of their own."""
        return self.name in ARGUMENTS


class Piece(msgspec.Struct, frozen=True):
    channel: Channel
    place: Place
    text: str


class Reading(msgspec.Struct, frozen=True):
    """What one event says."""

    pieces: tuple[Piece, ...] = ()
    ends: frozenset[int] | None = frozenset()
    """Choices of which nothing more will come; None: all of them."""

    def ends_with(self, channel: Channel) -> bool:
        return self.ends is None or channel.choice in self.ends


ARGUMENTS = frozenset(
    {
        "arguments",
        "function_call",
        "partial_json",
        "response.function_call_arguments",
        "response.mcp_call_arguments",
    }
)
SPOKEN = ("reasoning_content", "reasoning", "content", "refusal")
BLOCK_TEXTS = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "partial_json": "input_json_delta",
}
LAST_RESPONSES = frozenset({"response.completed", "response.incomplete", "response.failed"})
KNOWN = ("id", "object", "created", "model")


def read(kind: Kind, event: Document) -> Reading:
    """Say what an event goes on with, and what it ends."""
    match kind:
        case Kind.MESSAGES:
            return read_messages(event)
        case Kind.RESPONSES:
            return read_responses(event)
        case _:
            return read_choices(event)


def read_choices(event: Document) -> Reading:
    """Chats and completions."""
    pieces: list[Piece] = []
    ends: set[int] = set()
    for at, choice in items(event.get("choices")):
        index = count(choice.get("index"))
        pieces += choice_pieces(index, ("choices", at), choice)
        if choice.get("finish_reason") is not None:
            ends.add(index)
    return Reading(tuple(pieces), frozenset(ends))


def choice_pieces(index: int, at: Place, choice: Document) -> Iterator[Piece]:
    if isinstance(text := choice.get("text"), str):
        yield Piece(Channel(index, "text"), (*at, "text"), text)
    delta, at = members(choice.get("delta")), (*at, "delta")
    for name in SPOKEN:
        if isinstance(text := delta.get(name), str):
            yield Piece(Channel(index, name), (*at, name), text)
    if isinstance(text := members(delta.get("audio")).get("transcript"), str):
        yield Piece(Channel(index, "transcript"), (*at, "audio", "transcript"), text)
    text = members(delta.get("function_call")).get("arguments")
    if isinstance(text, str):
        place = (*at, "function_call", "arguments")
        yield Piece(Channel(index, "function_call"), place, text)
    for number, call in items(delta.get("tool_calls")):
        part = count(call["index"]) if "index" in call else number
        for form, name in (("function", "arguments"), ("custom", "input")):
            if isinstance(text := members(call.get(form)).get(name), str):
                place = (*at, "tool_calls", number, form, name)
                yield Piece(Channel(index, name, part), place, text)


def read_messages(event: Document) -> Reading:
    index = count(event.get("index"))
    match event.get("type"):
        case "content_block_start":
            return Reading(tuple(block_pieces(index, "content_block", event)))
        case "content_block_delta":
            return Reading(tuple(block_pieces(index, "delta", event)))
        case "content_block_stop":
            return Reading(ends=frozenset({index}))
        case "message_delta" | "message_stop":
            return Reading(ends=None)
        case _:
            return Reading()


def block_pieces(index: int, member: str, event: Document) -> Iterator[Piece]:
    block = members(event.get(member))
    for name in BLOCK_TEXTS:
        if isinstance(text := block.get(name), str):
            yield Piece(Channel(index, name), (member, name), text)


def read_responses(event: Document) -> Reading:
    kind, delta = str(event.get("type", "")), event.get("delta")
    if kind in LAST_RESPONSES:
        return Reading(ends=None)
    index = count(event.get("output_index"))
    if kind.endswith(".done"):
        return Reading(ends=frozenset({index}))
    if not kind.endswith(".delta") or not isinstance(delta, str):
        return Reading()
    part = count(event.get("content_index", event.get("summary_index")))
    channel = Channel(index, kind.removesuffix(".delta"), part)
    return Reading((Piece(channel, ("delta",), delta),))


def items(given: object) -> Iterator[tuple[int, Document]]:
    if isinstance(given, list):
        for index, item in enumerate(cast("list[object]", given)):
            yield index, members(item)


def write(kind: Kind, channel: Channel, like: Document, text: str) -> bytes:
    """Write an event that goes on with one channel, in the manner of an earlier one of the stream."""
    match kind:
        case Kind.MESSAGES:
            delta = {"type": BLOCK_TEXTS[channel.name], channel.name: text}
            name = "content_block_delta"
            return write_event({"type": name, "index": channel.choice, "delta": delta}, name)
        case Kind.RESPONSES:
            more = {"logprobs": list[object]()} if "logprobs" in like else {}
            return write_event({**like, "delta": text, **more}, str(like["type"]))
        case _:
            choice = {
                "index": channel.choice,
                **choice_text(channel, text),
                "logprobs": None,
                "finish_reason": None,
            }
            known = {name: like[name] for name in KNOWN if name in like}
            return write_event({**known, "choices": [choice]})


def choice_text(channel: Channel, text: str) -> Mapping[str, Any]:
    match channel.name:
        case "text":
            return {"text": text}
        case "function_call":
            return {"delta": {"function_call": {"arguments": text}}}
        case "transcript":
            return {"delta": {"audio": {"transcript": text}}}
        case "arguments" | "input" as name:
            form = "function" if name == "arguments" else "custom"
            return {"delta": {"tool_calls": [{"index": channel.part, form: {name: text}}]}}
        case name:
            return {"delta": {name: text}}


def write_event(document: Mapping[str, Any], name: str = "") -> bytes:
    try:
        return sse(document, name)
    except UnicodeEncodeError:  # half a surrogate pair can only be written as an escape
        head = f"event: {name}\n" if name else ""
        return f"{head}data: {json.dumps(document)}\n\n".encode()
