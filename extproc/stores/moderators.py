"""Services that judge, over HTTP: `Moderator` for the policy's `moderation.services`.

    openai_moderations   POST URL {"model": "...", "input": ["...", ...]}: one call for all texts
    guard_chat           POST URL {"model": "...", "messages": [...]}: one call for each text; the URL is
                         that of an engine, or of the gateway's own door

A service that fails three times in a row is left alone for a while, and who would have asked is told so
at once. What the answers mean is read in `safety/moderation/verdict.py`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

import aiohttp
import msgspec

from extproc.errors import DetectorError
from extproc.limits.breaker import Breaker
from extproc.policy.moderation import ModeratorPolicy
from extproc.safety.moderation.rules import Question
from extproc.safety.moderation.verdict import read_chat, read_moderations
from extproc.stores.services import ServiceClient

MOST_BYTES = 1024 * 1024
"""Of an answer: 64 results with scores take 100 kB."""
PAUSE_S = 2.0
"""How long a service that does not answer is left alone; then one question tries it."""
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
        client: ModeratorClient,
        policy: ModeratorPolicy,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._url = str(policy.url)
        self._model = policy.model
        self._is_guard = policy.kind == "guard_chat"
        self._deadline_s = policy.timeout_ms / 1000
        token = policy.token.reveal() if policy.token else ""
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._breaker = Breaker()
        self._clock = clock
        self._again_s = 0.0

    async def judge(self, question: Question) -> Sequence[Mapping[str, float]]:
        if self._breaker.open and self._clock() < self._again_s:
            raise DetectorError("it does not answer, and is left alone")
        self._again_s = self._clock() + PAUSE_S  # others wait for what becomes of this one
        try:
            async with asyncio.timeout(self._deadline_s):
                scores = await self._ask(question)
        except TimeoutError:
            self._breaker.fault()
            raise DetectorError(f"no answer within {self._deadline_s * 1000:g} ms") from None
        except (aiohttp.ClientError, OSError) as exc:
            self._breaker.fault()
            raise DetectorError(type(exc).__name__) from None
        except DetectorError:
            self._breaker.fault()
            raise
        self._breaker.well()
        return scores

    async def _ask(self, question: Question) -> Sequence[Mapping[str, float]]:
        if not self._is_guard:
            asked = {"input": [clean(each) for each in question.texts]}
            known = {"model": self._model} if self._model else {}
            raw = await self._post({**asked, **known})
            return read_moderations(raw, len(question.texts))
        room = asyncio.Semaphore(MOST_AT_ONCE)

        async def ask(text: str) -> Mapping[str, float] | DetectorError | aiohttp.ClientError:
            async with room:
                try:
                    return read_chat(await self._post(self._chat(question, text)))
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

    async def _post(self, document: Mapping[str, object]) -> bytes:
        """Raises: DetectorError, aiohttp.ClientError."""
        async with self._client.session.post(
            self._url,
            data=msgspec.json.encode(document),
            headers=self._headers,
            allow_redirects=False,
        ) as answer:
            if answer.status != 200:
                raise DetectorError(f"answered {answer.status}")
            raw = bytearray()
            async for chunk in answer.content.iter_chunked(1 << 16):
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise DetectorError(f"answered more than {MOST_BYTES} bytes")
            return bytes(raw)


def clean(text: str) -> str:
    """Half a surrogate pair cannot be sent."""
    return text.encode("utf-8", "replace").decode()
