"""Asking the engine itself how many tokens a prompt has: vLLM's `/tokenize`, and `count_tokens` of
Anthropic's API, which vLLM serves as well.

Right whatever the model, and the slowest way: a request of its own before each request.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import aiohttp
import msgspec

from extproc.counting.given import Given
from extproc.counting.loose import Members
from extproc.counting.remembered import Remembered
from extproc.counting.talk import Talk
from extproc.counting.tokenizer import CountError
from extproc.dialects.body import Document
from extproc.http_client import AnswerError, HttpClient, LongAnswerError
from extproc.request import Kind

TOKENIZE, COUNT_TOKENS = "/tokenize", "/v1/messages/count_tokens"
MOST_BYTES = 16 * 1024 * 1024
"""Of an answer, which lists all tokens: some seven bytes each."""
MOST_TEXTS = 16
"""Of a batch: each is a question."""
SILENT_S = 2.0
"""How long an endpoint that did not answer in time is left alone: else each request would wait for it."""
COUNTED = ("messages", "system", "tools", "tool_choice", "thinking", "chat_template_kwargs")
"""Members of Anthropic's body that are counted."""


class _Answer(msgspec.Struct):
    count: int | None = None
    input_tokens: int | None = None


class EngineClient(HttpClient):
    """For all engines."""

    UNPACKS = True
    """A proxy before an engine may compress though it is asked not to."""


class EngineCounter:
    """The engines of one model, on all its tracks."""

    def __init__(
        self, client: EngineClient, healthy: Callable[[str], Sequence[str]], deadline_s: float
    ) -> None:
        """`healthy` names the endpoints of a pool that answer."""
        self._client = client
        self._healthy = healthy
        self._deadline_s = deadline_s
        self._remembered = Remembered()
        self._silent_until: dict[str, float] = {}
        self._turn = 0

    async def count(
        self, kind: Kind, document: Document, given: Given, pool: str, served_as: str
    ) -> int:
        """Ask, once for each text. Raises: CountError."""
        questions = ask(kind, document, given, served_as)
        if len(questions) > MOST_TEXTS:
            raise CountError("too many texts to ask an engine for")
        endpoint = self._pick(pool)
        try:
            async with asyncio.timeout(self._deadline_s):
                counts = [await self._ask(endpoint, path, body) for path, body in questions]
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            self._silent_until[endpoint] = monotonic() + SILENT_S
            raise CountError(f"the engine did not count: {type(exc).__name__}") from None
        return sum(counts) + given.ids

    def _pick(self, pool: str) -> str:
        """Take turns. Raises: CountError when there is nobody to ask."""
        now = monotonic()
        found = [e for e in self._healthy(pool) if self._silent_until.get(e, 0.0) <= now]
        if not found:
            raise CountError("no engine to ask")
        self._turn += 1
        return found[self._turn % len(found)]

    async def _ask(self, endpoint: str, path: str, body: bytes) -> int:
        key = hash((path, body))
        known = self._remembered.get(key)
        if known is None:
            known = await self._post(f"http://{endpoint}{path}", body)
            self._remembered.put(key, known)
        return known

    async def _post(self, url: str, body: bytes) -> int:
        try:
            raw = await self._client.post(url, body, MOST_BYTES)
        except LongAnswerError:
            raise CountError("the engine's answer is too long") from None
        except AnswerError as exc:
            raise CountError(f"the engine {exc}") from None
        try:
            told = msgspec.json.decode(raw, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CountError("the engine's answer makes no sense") from None
        count = told.input_tokens if told.count is None else told.count
        if count is None or count < 0:
            raise CountError("the engine's answer has no count")
        return count


def ask(
    kind: Kind, document: Document, given: Given, served_as: str
) -> Sequence[tuple[str, bytes]]:
    """Put the questions: path and body of each."""
    encode = msgspec.json.encode
    if given.talk is None:
        framed = given.is_framed
        return [
            (
                TOKENIZE,
                encode({"model": served_as, "prompt": text, "add_special_tokens": framed}),
            )
            for text in given.texts
        ]
    if kind is Kind.MESSAGES and given.talk.is_faithful:
        body: dict[str, Any] = {name: document[name] for name in COUNTED if document.get(name)}
        return [(COUNT_TOKENS, encode({"model": served_as, **body}))]
    chat = {"model": served_as, "add_special_tokens": given.is_framed, **as_chat(given.talk)}
    return [(TOKENIZE, encode(chat))]


def as_chat(talk: Talk) -> Members:
    """Write a conversation as an OpenAI client would, its pictures left out."""
    variables = dict(talk.variables)
    generation = variables.pop("add_generation_prompt", True)
    chat: Members = {
        "messages": [write_message(message) for message in talk.messages],
        "add_generation_prompt": generation,
    }
    if talk.tools:
        chat["tools"] = talk.tools
    if variables:
        chat["chat_template_kwargs"] = variables
    return chat


def write_message(message: Members) -> Members:
    """Arguments of calls are JSON in a text."""
    calls = message.get("tool_calls")
    if not calls:
        return {**message, "content": message.get("content") or ""}
    written = [
        {**call, "function": {**call["function"], "arguments": dump(call["function"]["arguments"])}}
        for call in calls
    ]
    return {**message, "content": message.get("content"), "tool_calls": written}


def dump(value: object) -> str:
    return msgspec.json.encode(value).decode()
