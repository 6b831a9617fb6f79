"""A detector of names over HTTP: `ports.Detector` for the policy's `pii.detector`.

    POST URL    {"texts": ["..."], "types": ["person", "organization"]}
    200         {"findings": [[{"type": "person", "start": 0, "end": 4}]]}

One list of findings for each text, in code points, the end not included. Findings of types that were not
asked for are dropped, those that lie outside their text are a fault. A detector that fails three times in a
row is left alone for a while, and who would have asked is told so at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import aiohttp
import msgspec

from extproc.errors import DetectorError
from extproc.limits.breaker import Breaker
from extproc.policy.pii import DetectorPolicy
from extproc.safety.pii.finding import Finding
from extproc.stores.services import ServiceClient

MOST_BYTES = 8 * 1024 * 1024
"""Of an answer: ten thousand findings take half a megabyte."""
PAUSE_S = 2.0
"""How long a detector that does not answer is left alone; then one request tries it."""
RANK = 15
"""Below the forms of patterns, above words that only speak for a value."""


class _Found(msgspec.Struct):
    type: str
    start: int
    end: int


class _Answer(msgspec.Struct):
    findings: list[list[_Found]]


class DetectorClient(ServiceClient):
    """Of detectors."""

    def at(self, policy: DetectorPolicy) -> "HttpDetector":
        """Reach the detector that a policy names."""
        return HttpDetector(self, policy)


class HttpDetector:
    """Implements `ports.Detector`."""

    def __init__(
        self,
        client: DetectorClient,
        policy: DetectorPolicy,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._url = str(policy.url)
        self._types = policy.types
        self._deadline_s = policy.timeout_ms / 1000
        token = policy.token.reveal() if policy.token else ""
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._breaker = Breaker()
        self._clock = clock
        self._again_s = 0.0

    async def find(self, texts: Sequence[str]) -> Sequence[Sequence[Finding]]:
        if self._breaker.open and self._clock() < self._again_s:
            raise DetectorError("it does not answer, and is left alone")
        self._again_s = self._clock() + PAUSE_S  # others wait for what becomes of this one
        try:
            found = await self._ask(texts)
        except DetectorError:
            self._breaker.fault()
            raise
        self._breaker.well()
        return found

    async def _ask(self, texts: Sequence[str]) -> Sequence[Sequence[Finding]]:
        """Raises: DetectorError."""
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        body = msgspec.json.encode({"texts": clean, "types": self._types})
        try:
            async with asyncio.timeout(self._deadline_s):
                raw = await self._post(body)
        except TimeoutError:
            raise DetectorError(f"no answer within {self._deadline_s * 1000:g} ms") from None
        except (aiohttp.ClientError, OSError) as exc:
            raise DetectorError(type(exc).__name__) from None
        return read(raw, texts, frozenset(self._types))

    async def _post(self, body: bytes) -> bytes:
        async with self._client.session.post(
            self._url, data=body, headers=self._headers, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise DetectorError(f"answered {answer.status}")
            raw = b""
            async for chunk in answer.content.iter_chunked(1 << 16):
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise DetectorError(f"answered more than {MOST_BYTES} bytes")
            return raw


def read(raw: bytes, texts: Sequence[str], types: frozenset[str]) -> Sequence[Sequence[Finding]]:
    """Understand an answer. Raises: DetectorError."""
    try:
        answer = msgspec.json.decode(raw, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DetectorError("answered no findings") from None
    if len(answer.findings) != len(texts):
        raise DetectorError("answered for another number of texts")
    for text, found in zip(texts, answer.findings, strict=True):
        if any(not 0 <= each.start < each.end <= len(text) for each in found):
            raise DetectorError("found something outside a text")
    return [
        [Finding(each.type, each.start, each.end, RANK) for each in found if each.type in types]
        for found in answer.findings
    ]
