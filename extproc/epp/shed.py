"""Refuse what has low priority when every engine is full: what is left is for the others.

Requests name an objective in a header; which priority it has is said when the picker is started. Below
zero may be shed, as in the reference implementation's InferenceObjective.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, Protocol

from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Body, Fact, Request
from extproc.routing.candidate import Candidate

OBJECTIVE_HEADERS = ("x-gateway-inference-objective", "x-llm-d-inference-objective")

QUEUE_DEPTH = 5
KV_USAGE = 0.8
"""Defaults of the reference saturation detector (`queueDepthThreshold`, `kvCacheUtilThreshold`)."""

FRESH_S = 5.0
"""A look that is older says nothing of now, and what was sent since may run or wait: nobody is refused for it."""
RETRY_AFTER_S = 1
"""A queue of five moves within a second or so."""


@dataclass(frozen=True, slots=True)
class Full:
    """When an engine is full: any of these."""

    queue_depth: int = QUEUE_DEPTH
    """Requests that wait there, those among them that were sent after the last look."""
    kv_usage: float = KV_USAGE
    in_flight: int | None = None
    """Requests sent there that have not ended, waiting or not; None is never. The reference
    implementation's other detector (`maxConcurrency`), for engines that tell nothing."""

    def fits(self, candidate: Candidate, now_s: float) -> bool:
        """Whether it is not full, as far as anybody knows."""
        if self.in_flight is not None and candidate.in_flight >= self.in_flight:
            return False
        if now_s - candidate.seen_s > FRESH_S:
            return True
        return (
            candidate.load.waiting + candidate.unseen < self.queue_depth
            and candidate.load.kv_usage < self.kv_usage
        )


DEFAULT = Full()


class Candidates(Protocol):
    """The part of `ports.EngineView` that is needed here."""

    def candidates(self, pool: str) -> Sequence[Candidate]: ...


class Shed(Filter):
    """`objectives` are priorities by name; what is not named has 0 and is not shed."""

    name: ClassVar[str] = "shed"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Body})

    def __init__(
        self,
        pool: str,
        objectives: Mapping[str, int],
        view: Candidates,
        full: Full = DEFAULT,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clock = clock
        self._pool = pool
        self._objectives = objectives
        self._view = view
        self._full = full

    async def decide(self, request: Request) -> Decision:
        if read_priority(request.headers, self._objectives) >= 0:
            return request
        candidates, now_s = self._view.candidates(self._pool), self._clock()
        if not candidates or any(self._full.fits(each, now_s) for each in candidates):
            return request  # where there is no endpoint, 503 says more
        message = "Every engine is full, and this request's priority is below the others'."
        return Deny(Reason.SATURATED, message, retry_after_s=RETRY_AFTER_S)


def read_priority(headers: Mapping[str, str], objectives: Mapping[str, int]) -> int:
    for name in OBJECTIVE_HEADERS:
        if name in headers:
            return objectives.get(headers[name], 0)
    return 0
