"""Ends a stream before its engine does, so that clients see a whole answer that became too long.

An `Ending` reads the events of one stream as they pass, knows how many tokens have gone by, and writes
the last events in the words of its API: `finish_reason: "length"` with usage and `[DONE]` for chats and
completions, `stop_reason: "max_tokens"` for messages, `response.incomplete` for responses.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

import msgspec

from extproc.request import Kind

Document = Mapping[str, Any]

TOKEN_BYTES = 12
"""Where a stream says nothing of tokens before its end, each of its pieces is taken for one token,
unless it is longer than tokens are: engines that lag behind join them."""


class Ending(Protocol):
    """What is known of one stream, and its early end."""

    @property
    def tokens(self) -> int:
        """Of the answer, in all events noted so far."""
        ...

    def note(self, event: Document) -> None:
        """Read one event that is going out."""
        ...

    def weigh(self, event: Document) -> int:
        """Say what `tokens` would be with this event too."""
        ...

    def close(self, why: str, *, by_rule: bool = False) -> bytes:
        """Write the events that end the stream here. `why` is the limit's name, or with `by_rule` that
        of a rule on what may be said: clients then read of a content filter, not of a length."""
        ...


def ending(kind: Kind, prompt_tokens: int) -> Ending:
    """Begin one. `prompt_tokens` is our own count, for streams that do not tell theirs in time."""
    match kind:
        case Kind.MESSAGES:
            return MessagesEnding(prompt_tokens)
        case Kind.RESPONSES:
            return ResponsesEnding(prompt_tokens)
        case _:
            return ChoicesEnding(prompt_tokens)


def members(given: object) -> Document:
    return cast("Document", given) if isinstance(given, dict) else {}


def count(given: object) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else 0


def guess(text: object) -> int:
    """Guess the tokens of a piece of text."""
    return -(-len(text.encode(errors="replace")) // TOKEN_BYTES) if isinstance(text, str) else 0


def sse(document: object, event: str = "") -> bytes:
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + msgspec.json.encode(document) + b"\n\n"


class ChoicesEnding:
    """Chats and completions. Engines are asked for running counts (`filters/measure.py`), which are
    those of one choice; where there are none, an event with text counts as a token."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self._known: dict[str, object] = {}
        self._counts: dict[int, int] = {}
        self._open: dict[int, bool] = {}
        """By choice: whether it is a chat's, as long as it has not ended."""

    @property
    def tokens(self) -> int:
        return sum(self._counts.values())

    def note(self, event: Document) -> None:
        for name in ("id", "object", "created", "model"):
            if name in event:
                self._known[name] = event[name]
        usage = members(event.get("usage"))
        self.prompt_tokens = count(usage.get("prompt_tokens")) or self.prompt_tokens
        for choice in self._choices(event):
            index = count(choice.get("index"))
            self._counts[index] = self._count(choice, usage)
            self._open[index] = "delta" in choice
            if choice.get("finish_reason") is not None:
                del self._open[index]

    def weigh(self, event: Document) -> int:
        usage = members(event.get("usage"))
        new = {count(each.get("index")): self._count(each, usage) for each in self._choices(event)}
        return sum({**self._counts, **new}.values())

    def _choices(self, event: Document) -> list[Document]:
        choices = event.get("choices")
        if not isinstance(choices, list):
            return []
        return [members(each) for each in cast("list[object]", choices)]

    def _count(self, choice: Document, usage: Document) -> int:
        before = self._counts.get(count(choice.get("index")), 0)
        if "completion_tokens" in usage:
            return max(before, count(usage["completion_tokens"]))
        return before + int(bool(choice.get("text") or members(choice.get("delta"))))

    def close(self, why: str, *, by_rule: bool = False) -> bytes:
        choices: list[dict[str, object]] = [
            {
                "index": index,
                "delta" if is_chat else "text": dict[str, object]() if is_chat else "",
                "logprobs": None,
                "finish_reason": "content_filter" if by_rule else "length",
            }
            for index, is_chat in sorted(self._open.items())
        ]
        usage = {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
            "completion_tokens": self.tokens,
        }
        told = {"x_headgate": {"stopped_by": why}}
        last = sse({**self._known, "choices": choices, **told}) if choices else b""
        return last + sse({**self._known, "choices": [], "usage": usage}) + b"data: [DONE]\n\n"


class MessagesEnding:
    """Anthropic's messages."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.tokens = 0
        self._usage: dict[str, object] = {}
        self._block: int | None = None

    def note(self, event: Document) -> None:
        self.tokens = self.weigh(event)
        match event.get("type"):
            case "message_start":
                self._usage = dict(members(members(event.get("message")).get("usage")))
                names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
                told = sum(count(self._usage.get(name)) for name in names)
                self.prompt_tokens = told or self.prompt_tokens
            case "content_block_start":
                self._block = count(event.get("index"))
            case "content_block_stop":
                self._block = None
            case _:
                pass

    def weigh(self, event: Document) -> int:
        usage = members(event.get("usage"))
        if "output_tokens" in usage:
            return count(usage["output_tokens"])
        delta = members(event.get("delta"))
        return self.tokens + sum(guess(delta.get(n)) for n in ("text", "thinking", "partial_json"))

    def close(self, why: str, *, by_rule: bool = False) -> bytes:
        end = b""
        if self._block is not None:
            stop = {"type": "content_block_stop", "index": self._block}
            end = sse(stop, "content_block_stop")
        delta = {
            "type": "message_delta",
            "delta": {
                "stop_reason": "refusal" if by_rule else "max_tokens",
                "stop_sequence": None,
            },
            "usage": {**self._usage, "output_tokens": self.tokens},
            "x_headgate": {"stopped_by": why},
        }
        return end + sse(delta, "message_delta") + sse({"type": "message_stop"}, "message_stop")


class ResponsesEnding:
    """OpenAI's responses. What was said so far is kept, because the last event repeats it."""

    def __init__(self, prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.tokens = 0
        self._response: dict[str, object] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._texts: dict[int, list[str]] = {}
        self._number = -1

    def note(self, event: Document) -> None:
        self.tokens = self.weigh(event)
        self._number = max(self._number, count(event.get("sequence_number")))
        index = count(event.get("output_index"))
        match event.get("type"):
            case "response.created" | "response.in_progress":
                self._response = dict(members(event.get("response")))
            case "response.output_item.added":
                self._items[index] = dict(members(event.get("item")))
            case "response.output_item.done":
                self._items[index] = dict(members(event.get("item")))
                self._texts.pop(index, None)
            case "response.output_text.delta":
                self._texts.setdefault(index, []).append(str(event.get("delta", "")))
            case _:
                pass

    def weigh(self, event: Document) -> int:
        usage = members(members(event.get("response")).get("usage"))
        if "output_tokens" in usage:
            return count(usage["output_tokens"])
        kind = event.get("type")
        grows = isinstance(kind, str) and kind.endswith(".delta")
        return self.tokens + (guess(event.get("delta")) if grows else 0)

    def close(self, why: str, *, by_rule: bool = False) -> bytes:
        for index, pieces in self._texts.items():
            text, notes = "".join(pieces), list[object]()
            part: dict[str, object] = {"type": "output_text", "text": text, "annotations": notes}
            item = self._items.setdefault(index, {"type": "message", "role": "assistant"})
            item.update(content=[part], status="incomplete")
        usage = {
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.prompt_tokens + self.tokens,
        }
        response = {
            **self._response,
            "status": "incomplete",
            "incomplete_details": {"reason": "content_filter" if by_rule else "max_output_tokens"},
            "output": [item for _, item in sorted(self._items.items())],
            "usage": usage,
        }
        kind = "response.incomplete"
        last = {"type": kind, "sequence_number": self._number + 1, "response": response}
        return sse({**last, "x_headgate": {"stopped_by": why}}, kind)
