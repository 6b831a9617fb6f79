"""An answer that is one JSON document: held until it is all there, judged, and passed on as it came or
filtered.

Filtered as OpenAI and Azure do it: the status stays 200, the choice that a rule is against says nothing,
and its `finish_reason` is `content_filter`; a message ends with `refusal`, a response is `incomplete`.
Usage stays: the engine has made all of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from extproc.dialects.ending import Document, members
from extproc.errors import Reason, body
from extproc.filter import BodyTransform
from extproc.request import Kind
from extproc.safety.expressions import FloodError
from extproc.safety.moderation.panel import Bench, find_block
from extproc.safety.moderation.rules import Hit, UnjudgedError
from extproc.safety.moderation.words import unescape

MOST_BYTES = 8 * 1024 * 1024
"""Of an answer that is held. A longer one is filtered unseen."""
UNJUDGED = "unjudged"
"""The category of what nobody could judge."""
SILENT = frozenset(
    {"id", "object", "type", "role", "model", "finish_reason", "stop_reason", "status", "token"}
)
"""Members whose texts nobody reads, and pieces of such as are read already."""
REPEATED = frozenset({"output_text", "output_messages"})
"""Members of a response that say its output once more: some servers' `output_text`, and what vLLM tells
whoever asks by `enable_response_messages`."""


class Told(msgspec.Struct, frozen=True):
    """What a document says: a text for each choice, or one for all of it."""

    document: Document | None
    texts: Sequence[str]
    is_known: bool
    """Whether it is an answer, and no error."""


def read_answer(kind: Kind, raw: bytes) -> Told:
    document = decode(raw)
    if document is None:
        return Told(None, (raw.decode(errors="replace"),), is_known=False)
    choices = document.get("choices")
    if kind in (Kind.CHAT, Kind.COMPLETIONS) and isinstance(choices, list):
        told = [write_texts(each) for each in cast("list[object]", choices)]
        return Told(document, told, is_known=True)
    name = "content" if kind is Kind.MESSAGES else "output"
    if name in document:
        return Told(document, (write_texts(document[name]),), is_known=True)
    return Told(document, (write_texts(document),), is_known=False)


def decode(raw: bytes) -> Document | None:
    try:
        return members(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def write_texts(value: object) -> str:
    """Join all texts; those that hold JSON, read."""
    return "\n".join(unescape(each) if "\\" in each else each for each in find_strings(value))


def find_strings(value: object) -> Iterator[str]:
    """Walk through all of it. msgspec has refused what is nested too deeply."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            left += reversed(cast("list[object]", value))
        elif isinstance(value, dict):
            named = cast("dict[str, object]", value)
            left += [each for name, each in reversed(named.items()) if name not in SILENT]


def filtered(kind: Kind, told: Told, blocked: Mapping[int, str]) -> bytes:
    """Write it without the texts that are blocked, by index, and say by which rule."""
    document = told.document
    if document is None or not told.is_known:
        return body(Reason.CONTENT_BLOCKED, "What came cannot be shown.")
    stopped = {"x_headgate": {"stopped_by": next(iter(blocked.values()))}}
    match kind:
        case Kind.MESSAGES:
            changed: dict[str, Any] = {"content": [], "stop_reason": "refusal"}
        case Kind.RESPONSES:
            why = {"reason": "content_filter"}
            changed = {"output": [], "status": "incomplete", "incomplete_details": why}
            document = {n: value for n, value in document.items() if n not in REPEATED}
        case _:
            choices = cast("list[Document]", document["choices"])
            changed = {
                "choices": [
                    silence(each) if index in blocked else each
                    for index, each in enumerate(choices)
                ]
            }
    return msgspec.json.encode({**document, **changed, **stopped})


def silence(choice: object) -> dict[str, object]:
    known = members(choice)
    silent: dict[str, object] = {"index": known.get("index", 0)}
    if "text" in known:
        silent["text"] = ""
    else:
        silent["message"] = {"role": "assistant", "content": "", "refusal": None}
    return {**silent, "logprobs": None, "finish_reason": "content_filter"}


class ModeratedWhole(BodyTransform):
    """Of an answer in JSON."""

    def __init__(self, kind: Kind, bench: Bench, tell: Callable[[Hit], None]) -> None:
        self._kind = kind
        self._bench = bench
        self._tell = tell
        self._raw = bytearray()
        self._answer: Told | None = None
        self._blocked: dict[int, str] = {}
        self._told: set[str] = set()
        self._is_asked = False
        self.waits = False

    def feed(self, chunk: bytes) -> bytes:
        if len(self._raw) <= MOST_BYTES:
            self._raw += chunk
        return b""

    def finish(self) -> bytes:
        if self._answer is None:
            self._read()
        if self._bench.asks and not self._is_asked:
            self._is_asked = self.waits = True
            return b""
        raw, self._raw = bytes(self._raw), bytearray()
        if self._answer is None or not self._blocked:
            return raw
        return filtered(self._kind, self._answer, self._blocked)

    async def wait(self) -> None:
        """Have it judged."""
        self.waits = False
        if self._answer is None:
            return
        try:
            found = await self._bench.ask(self._answer.texts)
        except UnjudgedError as exc:
            unjudged = Hit(exc.service, UNJUDGED, "block")
            found = [[unjudged]] * len(self._answer.texts)
        for index, hits in enumerate(found):
            self._note(index, hits)

    def _read(self) -> None:
        if len(self._raw) > MOST_BYTES:
            self._answer = Told(None, ("",), is_known=False)
            self._note(0, [Hit("long", UNJUDGED, "block")])
            return
        self._answer = read_answer(self._kind, bytes(self._raw))
        for index, text in enumerate(self._answer.texts):
            try:
                self._note(index, self._bench.read(text))
            except FloodError:
                self._note(index, [Hit("flood", UNJUDGED, "block")])

    def _note(self, index: int, hits: Sequence[Hit]) -> None:
        for each in hits:
            if each.rule not in self._told:
                self._told.add(each.rule)
                self._tell(each)
        if (block := find_block(hits)) is not None:
            self._blocked.setdefault(index, block.rule)
