"""What services beside the gateway share: detectors, moderators, classifiers.

Each is asked within a deadline. One that fails three times in a row is left alone for a while, and who
would have asked is told so at once. One that answers, but does not judge what it was given, is not left
alone for that: else whoever sends such texts could take it away from all others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Protocol, TypeVar

import aiohttp
import msgspec

from extproc.errors import DetectorError
from extproc.http_client import JSON, AnswerError, HttpClient
from extproc.limits.breaker import Breaker
from extproc.policy.base import Secret, Url

PAUSE_S = 2.0
"""How long a service that does not answer is left alone; then one question tries it."""
UNFIT = frozenset({200, 400, 413, 422})
"""Statuses of a service that is there, and makes nothing of a text: it is too long for it, mostly."""
ANSWER = TypeVar("ANSWER")


class AwayError(DetectorError):
    """It fails, whatever it is asked."""


class ServicePolicy(Protocol):
    """What policies say of any of them."""

    @property
    def url(self) -> Url: ...
    @property
    def token(self) -> Secret | None: ...
    @property
    def timeout_ms(self) -> int: ...


class ServiceClient(HttpClient):
    """For the services of all policy versions. These may compress their answers."""

    HEADERS = JSON
    UNPACKS = True


class HttpService:
    """One service. Its answers have `most_bytes` at most."""

    def __init__(
        self,
        client: ServiceClient,
        policy: ServicePolicy,
        most_bytes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._url = str(policy.url)
        self._deadline_s = policy.timeout_ms / 1000
        self._most_bytes = most_bytes
        token = policy.token.reveal() if policy.token else ""
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._breaker = Breaker()
        self._clock = clock
        self._again_s = 0.0

    async def ask(self, question: Callable[[], Awaitable[ANSWER]]) -> ANSWER:
        """Put a question within the deadline. Raises: DetectorError."""
        if self._breaker.open and self._clock() < self._again_s:
            raise DetectorError("it does not answer, and is left alone")
        self._again_s = self._clock() + PAUSE_S  # others wait for what becomes of this one
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await question()
        except TimeoutError:
            self._breaker.fault()
            raise DetectorError(f"no answer within {self._deadline_s * 1000:g} ms") from None
        except (aiohttp.ClientError, OSError) as exc:
            self._breaker.fault()
            raise DetectorError(type(exc).__name__) from None
        except AwayError:
            self._breaker.fault()
            raise
        except DetectorError:
            self._breaker.well()
            raise
        self._breaker.well()
        return answer

    async def post(self, document: Mapping[str, object]) -> bytes:
        """Raises: DetectorError, AwayError, aiohttp.ClientError."""
        body = msgspec.json.encode(document)
        try:
            return await self._client.post(self._url, body, self._most_bytes, self._headers)
        except AnswerError as exc:
            if exc.status in UNFIT:
                raise DetectorError(str(exc)) from None
            raise AwayError(str(exc)) from None


def clean(text: str) -> str:
    """Half a surrogate pair cannot be sent."""
    return text.encode("utf-8", "replace").decode()
