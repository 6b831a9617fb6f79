"""An answer read from its stream, as if it had come as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec

from extproc.cache.answer import Answer, Document, read_answer
from extproc.dialects.deltas import items, read
from extproc.dialects.ending import members
from extproc.dialects.sse import Splitter
from extproc.request import Kind

DONE = b"[DONE]"


def read_stream(kind: Kind, body: bytes) -> Answer | None:
    """Read a whole stream; None where its answer cannot be kept. 10 us for each event."""
    splitter = Splitter()
    said = [event.data for event in splitter.feed(body) if event.data]
    if not splitter.empty:  # torn
        return None
    try:
        events = [msgspec.json.decode(data, type=dict[str, Any]) for data in said if data != DONE]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if any(event.get("error") or event.get("type") == "error" for event in events):
        return None
    match kind:
        case Kind.CHAT | Kind.COMPLETIONS:
            document = join_choices(kind, events) if said[-1:] == [DONE] else None
        case Kind.MESSAGES:
            document = join_message(events)
        case Kind.RESPONSES:
            last = events[-1] if events else {}
            whole = last.get("type") == "response.completed"
            document = members(last.get("response")) if whole else None
        case _:
            document = None
    return read_answer(kind, document) if document else None


def join_choices(kind: Kind, events: Sequence[Document]) -> Document | None:
    """Put chunks together; None when there is more than the text of one choice."""
    head: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    finish: object = None
    for event in events:
        head.update({name: value for name, value in event.items() if value is not None})
        for piece in read(kind, event).pieces:
            if piece.channel.choice or (piece.channel.name == "arguments"):
                return None
            texts.setdefault(piece.channel.name, []).append(piece.text)
        for _, choice in items(event.get("choices")):
            if choice.get("index") or members(choice.get("delta")).get("tool_calls"):
                return None
            finish = choice.get("finish_reason") or finish
    joined = {name: "".join(pieces) for name, pieces in texts.items()}
    choice = (
        {"message": joined, "finish_reason": finish}
        if kind is Kind.CHAT
        else {"text": joined.get("text", ""), "finish_reason": finish}
    )
    return {**head, "choices": [choice]}


def join_message(events: Sequence[Document]) -> Document | None:
    """Put Anthropic's events together; None when there is more than one block, or no end."""
    message: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    blocks: list[Document] = []
    text: list[str] = []
    for event in events:
        match event.get("type"):
            case "message_start":
                message = dict(members(event.get("message")))
                usage = {**members(message.get("usage"))}
            case "content_block_start":
                blocks.append(members(event.get("content_block")))
            case "message_delta":
                message.update(members(event.get("delta")))
                told = members(event.get("usage"))
                usage.update({name: value for name, value in told.items() if value is not None})
            case _:
                pass
        text += [piece.text for piece in read(Kind.MESSAGES, event).pieces]
    if len(blocks) != 1 or not events or events[-1].get("type") != "message_stop":
        return None
    block = {**blocks[0], "text": "".join(text)}
    return {**message, "usage": usage, "content": [block]}
