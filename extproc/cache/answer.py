"""The part of an answer that is kept: one text that came to its own end, and what it took."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from extproc.cache.key import ENDS_USER
from extproc.dialects.ending import members
from extproc.request import Kind

Document = Mapping[str, Any]

OWN = frozenset({"id", "object", "created", "created_at", "completed_at", "choices", "usage"})
"""Members of an answer that are of this answer alone, or are written anew."""
OWN_MESSAGES = OWN | {"type", "role", "content", "stop_reason", "stop_sequence"}
OWN_RESPONSES = OWN | ENDS_USER | {"output", "output_text", "status", "incomplete_details", "error"}
"""Engines repeat who asked, by members that the keys of answers leave out."""
PLAIN = frozenset({"role", "content", "reasoning", "reasoning_content"})
"""Members of a message that may hold something."""
REASONING = ("reasoning_content", "reasoning")


class Answer(msgspec.Struct, frozen=True):
    kind: Kind
    text: str
    prompt_tokens: int
    completion_tokens: int
    finish: str = "stop"
    """Of a chat or completion: why it ended, in the engine's word."""
    reasoning: str = ""
    reasoning_name: str = ""
    """The member that held it: engines call it by two names."""
    head: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """What else the engine said of the answer, such as the model's name."""

    def __repr__(self) -> str:
        return f"Answer({self.kind.value}, {self.completion_tokens} tokens)"


def pack(answer: Answer) -> bytes:
    """Write it for a store. Raises: UnicodeEncodeError for half a surrogate pair, OverflowError for a
    number of more than 64 bits."""
    return msgspec.msgpack.encode(answer)


def unpack(packed: bytes) -> Answer | None:
    """Read it; None for what another version has written."""
    try:
        return msgspec.msgpack.decode(packed, type=Answer)
    except msgspec.MsgspecError:
        return None


def read_answer(kind: Kind, document: Document) -> Answer | None:
    """Read an answer in JSON; None for what cannot be kept: an error, more or less than one text, one
    that was cut off, or without usage, for nobody could bill it."""
    match kind:
        case Kind.CHAT | Kind.COMPLETIONS:
            return read_choice(kind, document)
        case Kind.MESSAGES:
            return read_message(document)
        case Kind.RESPONSES:
            return read_response(document)
        case _:
            return None


def read_choice(kind: Kind, document: Document) -> Answer | None:
    choice = only(document.get("choices"))
    tokens = read_usage(document, "prompt_tokens", "completion_tokens")
    if choice is None or tokens is None or choice.get("finish_reason") != "stop":
        return None
    message = (
        members(choice.get("message")) if kind is Kind.CHAT else {"content": choice.get("text")}
    )
    text = message.get("content")
    more = any(value for name, value in message.items() if name not in PLAIN)
    if not isinstance(text, str) or not text or more or choice.get("logprobs"):
        return None
    name = next((name for name in REASONING if message.get(name)), "")
    reasoning = str(message[name]) if name else ""
    head = {n: value for n, value in document.items() if n not in OWN and value is not None}
    return Answer(kind, text, *tokens, reasoning=reasoning, reasoning_name=name, head=head)


def read_message(document: Document) -> Answer | None:
    block = only(document.get("content"))
    tokens = read_usage(document, "input_tokens", "output_tokens")
    if block is None or tokens is None or document.get("stop_reason") != "end_turn":
        return None
    text = block.get("text")
    if block.get("type") != "text" or not isinstance(text, str) or block.get("citations"):
        return None
    usage = members(document.get("usage"))
    cached = [usage.get(f"cache_{name}_input_tokens") for name in ("read", "creation")]
    prompt = tokens[0] + sum(each for each in cached if isinstance(each, int))
    head = {
        n: value for n, value in document.items() if n not in OWN_MESSAGES and value is not None
    }
    return Answer(Kind.MESSAGES, text, prompt, tokens[1], "end_turn", head=head) if text else None


def read_response(document: Document) -> Answer | None:
    item = only(document.get("output"))
    tokens = read_usage(document, "input_tokens", "output_tokens")
    if item is None or tokens is None or document.get("status") != "completed":
        return None
    part = only(item.get("content"))
    if item.get("type") != "message" or part is None or part.get("type") != "output_text":
        return None
    text = part.get("text")
    if not isinstance(text, str) or not text or part.get("annotations") or part.get("logprobs"):
        return None
    head = {name: value for name, value in document.items() if name not in OWN_RESPONSES}
    return Answer(Kind.RESPONSES, text, *tokens, "completed", head=head)


def only(listed: object) -> Document | None:
    """The one member of a list of objects."""
    found = cast("list[object]", listed) if isinstance(listed, list) else []
    return (members(found[0]) or None) if len(found) == 1 else None


def read_usage(document: Document, prompt: str, completion: str) -> tuple[int, int] | None:
    usage = members(document.get("usage"))
    found = usage.get(prompt), usage.get(completion)
    if isinstance(found[0], int) and isinstance(found[1], int):
        return found[0], found[1]
    return None
