"""A detector of names over HTTP: `ports.Detector` for the policy's `pii.detector`.

    POST URL    {"texts": ["..."], "types": ["person", "organization"]}
    200         {"findings": [[{"type": "person", "start": 0, "end": 4}]]}

One list of findings for each text, in code points, the end not included. Findings of types that were not
asked for are dropped, those that lie outside their text are a fault.
"""

from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from extproc.errors import DetectorError
from extproc.policy.pii import DetectorPolicy
from extproc.safety.pii.finding import Finding
from extproc.stores.services import HttpService, ServiceClient, clean

MOST_BYTES = 8 * 1024 * 1024
"""Of an answer: ten thousand findings take half a megabyte."""
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
        self._service = HttpService(client, policy, MOST_BYTES, clock)
        self._types = policy.types

    async def find(self, texts: Sequence[str]) -> Sequence[Sequence[Finding]]:
        document = {"texts": [clean(text) for text in texts], "types": self._types}

        async def ask() -> Sequence[Sequence[Finding]]:
            return read(await self._service.post(document), texts, frozenset(self._types))

        return await self._service.ask(ask)


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
