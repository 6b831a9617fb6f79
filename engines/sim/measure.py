"""Asking a running vLLM, and writing down what it did: tokens, cached tokens, and when."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Self

import aiohttp
import msgspec

from engines.load import Load
from engines.vllm import VLLM

TIMEOUT_S = 120.0


class MeasureError(Exception):
    """The engine did not answer as it should; the message says what it answered."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request with a prompt of token ids, and when to send it."""

    ids: tuple[int, ...]
    output_tokens: int
    at_s: float = 0.0
    salt: str = "sim"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; times count from when the first request of all was due."""

    sent_s: float
    first_s: float
    last_s: float

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.sent_s


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens_details: _Details | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    token_ids: list[int] | None = None


class _Chat(msgspec.Struct):
    choices: list[_Choice]
    prompt_token_ids: list[int] | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)


class Told(msgspec.Struct, frozen=True):
    """A chat that was answered."""

    prompt_ids: tuple[int, ...]
    output_ids: tuple[int, ...]
    text: str
    cached_tokens: int


class Engine:
    """A vLLM at a URL. Use it in `async with`."""

    def __init__(self, url: str, model: str) -> None:
        self._url = url.rstrip("/")
        self._model = model

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        self._client = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def load(self) -> Load:
        async with self._client.get(f"{self._url}/metrics") as answer:
            return VLLM.read_load(await answer.read())

    async def chat(self, messages: Sequence[Mapping[str, str]], most: int, salt: str) -> Told:
        """Send a chat and wait for all of its answer.

        Raises:
            MeasureError: It was refused, or answered without token ids.
        """
        body = {
            "model": self._model,
            "messages": list(messages),
            "max_tokens": most,
            "temperature": 0.0,
            "cache_salt": salt,
            "return_token_ids": True,
        }
        async with self._client.post(f"{self._url}/v1/chat/completions", json=body) as answer:
            raw = await answer.read()
        try:
            told = msgspec.json.decode(raw, type=_Chat)
            choice, details = told.choices[0], told.usage.prompt_tokens_details
            if told.prompt_token_ids is None or choice.token_ids is None:
                raise MeasureError("the engine does not tell token ids")
        except (msgspec.DecodeError, IndexError) as wrong:
            raise MeasureError(f"{answer.status}: {raw[:300]!r}") from wrong
        return Told(
            tuple(told.prompt_token_ids),
            tuple(choice.token_ids),
            choice.message.content or "",
            (details.cached_tokens or 0) if details else 0,
        )

    async def stream(self, ask: Ask, start_s: float) -> Seen:
        """Send a prompt when it is due, and time its tokens. Raises MeasureError."""
        body = {
            "model": self._model,
            "prompt": list(ask.ids),
            "max_tokens": ask.output_tokens,
            "ignore_eos": True,
            "stream": True,
            "temperature": 0.0,
            "cache_salt": ask.salt,
        }
        await asyncio.sleep(start_s + ask.at_s - time.monotonic())
        sent_s, first_s = time.monotonic(), 0.0
        async with self._client.post(f"{self._url}/v1/completions", json=body) as answer:
            if answer.status != 200:
                raise MeasureError(f"{answer.status}: {(await answer.read())[:300]!r}")
            async for _ in answer.content.iter_any():
                first_s = first_s or time.monotonic()
        times = (sent_s, first_s, time.monotonic())
        sent_s, first_s, last_s = (moment_s - start_s for moment_s in times)
        return Seen(sent_s=sent_s, first_s=first_s, last_s=last_s)

    async def all(self, asks: Sequence[Ask]) -> list[Seen]:
        """Send each request when it is due, whatever became of those before. Raises MeasureError."""
        start_s = time.monotonic() + 0.05
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.stream(ask, start_s)) for ask in asks]
        except ExceptionGroup as wrong:  # not `except*`: what is raised in one comes out as a group
            first = wrong.exceptions[0]
            if not isinstance(first, MeasureError | OSError):
                raise
            raise MeasureError(str(first)) from wrong
        return [task.result() for task in tasks]
