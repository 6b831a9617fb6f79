"""Of which requests it is written down why they went where they went, and the writing of it.

`Explain` decides whether; `Pick`, which alone knows what it chose among, calls `Recorder`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from extproc.decision import Decision
from extproc.filter import Filter, OnFault
from extproc.filters.limits import Reserved
from extproc.ports import Decisions, EngineView
from extproc.request import Fact, Identity, Model, Operation, Request
from extproc.routing.candidate import Asked, Candidate, Choice, Picker
from extproc.routing.chance import share
from extproc.routing.record import About, Seen, describe

EXPLAIN_HEADER = "x-headgate-explain"


class Explained(Fact, frozen=True):
    """A decision record is wanted."""

    why: str
    """`asked` or `sampled`."""


class Explain(Filter):
    """A request that asks and may not is served without a record: it is no mistake to ask."""

    name: ClassVar[str] = "explain"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Identity})
    on_fault: OnFault = "continue"

    def __init__(self, tenants: Collection[str], sample: float) -> None:
        """`tenants` may ask, `*` is all of them. `sample`: a share of all requests, from 0 to 1."""
        self._tenants = frozenset(tenants)
        self._sample = sample

    async def decide(self, request: Request) -> Decision:
        if request.headers.get(EXPLAIN_HEADER, "").lower() == "true":
            tenant = request.fact(Identity).tenant
            if tenant in self._tenants or "*" in self._tenants:
                return request.having(Explained("asked"))
        if self._sample and share(request.settle_key, self.name) < self._sample:
            return request.having(Explained("sampled"))
        return request


@dataclass(frozen=True, slots=True)
class Recorder:
    """Chooses like the picker alone, and writes down why."""

    decisions: Decisions
    policy: str
    pickers: Mapping[str, str]
    """Name of each pool's."""
    clock: Callable[[], float]
    """Seconds since the epoch."""

    def choose(
        self,
        request: Request,
        picker: Picker,
        asked: Asked,
        candidates: Sequence[Candidate],
        view: EngineView,
        now_s: float,
    ) -> Choice:
        """Let the picker explain before it chooses: choosing may change what it remembers."""
        pool = request.fact(Model).pool
        terms = picker.explain(asked, candidates, now_s)
        matched = view.prefixes(pool).matched(asked.blocks, now_s)
        begun_s = perf_counter()
        choice = picker.choose(asked, candidates, now_s)
        pick_us = round(1e6 * (perf_counter() - begun_s))
        seen = Seen(candidates, terms, matched, view.conditions(pool), now_s)
        about = self._about(request, pick_us)
        self.decisions.put(describe(about, asked, choice, seen))
        return choice

    def _about(self, request: Request, pick_us: int) -> About:
        model, reserved = request.fact(Model), request.find(Reserved)
        return About(
            request_id=request.request_id,
            at_s=round(self.clock(), 6),
            why=request.fact(Explained).why,
            policy=self.policy,
            tenant=request.fact(Identity).tenant,
            operation=request.fact(Operation).kind.value,
            model=model.name,
            track=model.track,
            pool=model.pool,
            picker=self.pickers[model.pool],
            queued_ms=reserved.queued_ms if reserved else 0,
            pick_us=pick_us,
        )
