"""A lesser model in place of the one that was asked for: when its engines are full, or the money is
nearly gone. Only for tenants that have agreed to it, and never without saying so.

Which one is a pure choice (`choose`) among what the policy lists, in its order: operators list the
same model in a lower precision first, and smaller models behind.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import ClassVar, Literal

import msgspec

from extproc.decision import Decision
from extproc.errors import CountersFaultError
from extproc.filter import Filter
from extproc.filters.fallback import Others, may_move, may_repeat, switch
from extproc.limits.base import Counters, Standing
from extproc.limits.reach import Reach
from extproc.ports import EngineView
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request
from extproc.routing.candidate import Candidate

FULL_KV_USAGE = 0.95
"""As `routing/pressure.py`: above it vLLM begins to preempt."""
FRESH_S = 5.0
"""A look that is older says nothing of now."""


class Step(msgspec.Struct, frozen=True):
    """One way down."""

    to: str
    """Public name."""
    when: Literal["saturated", "budget"]
    at: float
    """Share of the endpoints that are full, or of a budget that is used; 0 to 1."""


def is_full(candidate: Candidate, now_s: float) -> bool:
    """Say whether one more request would have to wait there. Engines that do not tell never are."""
    load = candidate.load
    is_fresh = now_s - candidate.seen_s <= FRESH_S
    return is_fresh and (load.waiting > 0 or load.kv_usage >= FULL_KV_USAGE)


def saturation(candidates: Sequence[Candidate], now_s: float) -> float:
    """Say which share of the endpoints is full. Where there is none, it is not work that is in the way."""
    if not candidates:
        return 0.0
    return sum(is_full(each, now_s) for each in candidates) / len(candidates)


def choose(
    steps: Sequence[Step], saturated: float, spent: float, is_free: Callable[[str], bool]
) -> Step | None:
    """Take the first step that applies and leads to where there is room."""
    for step in steps:
        reached = saturated if step.when == "saturated" else spent
        if reached >= step.at and is_free(step.to):
            return step
    return None


def used(standings: Sequence[Standing]) -> float:
    """Say how much of the budget is used that has least left."""
    return max((1 - one.remaining / one.limit.amount for one in standings), default=0.0)


class Budgets:
    """How budgets stand. One look is one call to the counters, about 0.2 ms."""

    def __init__(self, budgets: Sequence[Reach], counters: Counters | None) -> None:
        self._budgets = budgets
        self._counters = counters

    async def used(self, request: Request) -> float:
        """Share of the one that has least left. 0 when nobody knows: what cannot be looked at is no
        reason for a lesser answer."""
        identity, model = request.fact(Identity), request.fact(Model)
        kind = request.fact(Operation).kind
        pairs = [
            (reach.limit, reach.scope(identity, model))
            for reach in self._budgets
            if reach.covers(identity, model, kind)
        ]
        if not pairs or self._counters is None:
            return 0.0
        try:
            return used(await self._counters.look(pairs))
        except CountersFaultError:
            return 0.0


class Downgrade(Filter):
    """`steps` of each model by its public name; `willing` are the tenants that agreed."""

    name: ClassVar[str] = "downgrade"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model})

    def __init__(
        self,
        steps: Mapping[str, Sequence[Step]],
        willing: frozenset[str],
        others: Others,
        view: EngineView,
        budgets: Budgets,
    ) -> None:
        self._steps = steps
        self._willing = willing
        self._others = others
        self._view = view
        self._budgets = budgets

    async def decide(self, request: Request) -> Decision:
        model = request.fact(Model)
        steps = self._steps.get(model.name)
        if not steps or request.fact(Identity).tenant not in self._willing:
            return request
        if not may_move(request):
            return request
        wants_budget = any(step.when == "budget" for step in steps)
        spent = await self._budgets.used(request) if wants_budget else 0.0
        now_s = monotonic()
        saturated = saturation(self._view.candidates(model.pool, model.name), now_s)
        found = {step.to: other for step in steps if (other := self._eligible(request, step.to))}

        def is_free(name: str) -> bool:
            if name not in found:
                return False
            there = self._view.candidates(found[name].pool, name)
            return saturation(there, now_s) < 1.0

        step = choose(steps, saturated, spent, is_free)
        return switch(request, found[step.to], step.when) if step else request

    def _eligible(self, request: Request, name: str) -> Model | None:
        other = self._others.find(request, name)
        if other is None or not self._others.is_up(other, self._view):
            return None
        elsewhere = other.pool in self._others.elsewhere
        return other if may_repeat(request, elsewhere=elsewhere) else None
