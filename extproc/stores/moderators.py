"""Services that judge, over HTTP: `Moderator` for the policy's `moderation.services`.

    openai_moderations   POST URL {"model": "...", "input": ["...", ...]}: one call for all texts
    guard_chat           POST URL {"model": "...", "messages": [...]}: one call for each text; the URL is
                         that of an engine, or of the gateway's own door

What the answers mean is read in `safety/moderation/verdict.py`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import aiohttp

from extproc.errors import DetectorError
from extproc.policy.moderation import ModeratorPolicy
from extproc.safety.moderation.rules import Question
from extproc.safety.moderation.verdict import read_chat, read_moderations
from extproc.stores.services import HttpService, ServiceClient, clean

MOST_BYTES = 1024 * 1024
"""Of an answer: 64 results with scores take 100 kB."""
MOST_AT_ONCE = 4
"""Texts that one question has a guard judge at the same time."""
VERDICT_TOKENS = 64
"""Of a guard's answer: `Safety: Unsafe` and three long categories."""
ASKED_CHARS = 4_000
"""Of what an answer answers: its end."""


class ModeratorClient(ServiceClient):
    """Of moderators."""

    def at(self, policy: ModeratorPolicy) -> "HttpModerator":
        """Reach the service that a policy names."""
        return HttpModerator(self, policy)


class HttpModerator:
    """Implements `Moderator`."""

    def __init__(
        self,
        client: ServiceClient,
        policy: ModeratorPolicy,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._service = HttpService(client, policy, MOST_BYTES, clock)
        self._model = policy.model
        self._is_guard = policy.kind == "guard_chat"

    async def judge(self, question: Question) -> Sequence[Mapping[str, float]]:
        return await self._service.ask(lambda: self._ask(question))

    async def _ask(self, question: Question) -> Sequence[Mapping[str, float]]:
        if not self._is_guard:
            asked = {"input": [clean(each) for each in question.texts]}
            known = {"model": self._model} if self._model else {}
            raw = await self._service.post({**asked, **known})
            return read_moderations(raw, len(question.texts))
        room = asyncio.Semaphore(MOST_AT_ONCE)

        async def ask(text: str) -> Mapping[str, float] | DetectorError | aiohttp.ClientError:
            async with room:
                try:
                    return read_chat(await self._service.post(self._chat(question, text)))
                except (DetectorError, aiohttp.ClientError) as exc:
                    return exc  # a group would wrap it

        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(ask(text)) for text in question.texts]
        scores: list[Mapping[str, float]] = []
        for each in asking:
            verdict = each.result()
            if isinstance(verdict, Exception):
                raise verdict
            scores.append(verdict)
        return scores

    def _chat(self, question: Question, text: str) -> Mapping[str, object]:
        """Guards judge the last message: a user's, or an assistant's to what a user asked."""
        if question.by == "request":
            messages = [{"role": "user", "content": clean(text)}]
        else:
            asked = clean(question.asked[-ASKED_CHARS:]) or "-"
            messages = [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": clean(text)},
            ]
        return {
            "model": self._model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": VERDICT_TOKENS,
        }
