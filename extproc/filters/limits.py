"""Does it fit: every limit that is for a request takes from it before it leaves, or none does.

    decide   reserve what the request is expected to use
    renew    it still runs: keep its places in semaphores
    settle   put what it has used in place of what was reserved

Any worker may settle, under any policy: the counters know what a settle key has reserved. A request
that a later filter refuses is settled as well, with nothing used.

A limit that may stop an answer midway reserves slice by slice while the stream is watched
(`limits/stop.py`); what is not watched is reserved in full.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

import msgspec

from alerts.alert import Alert
from extproc.counting.counted import Counted
from extproc.decision import Decision, Outcome
from extproc.dialects.ending import ending
from extproc.filter import AnswerMode, BodyTransform, Filter, Shown
from extproc.limits.amounts import Estimate, spent
from extproc.limits.base import Algorithm, Charge, Counters, Standing, Unit, Verdict
from extproc.limits.notice import notices
from extproc.limits.reach import Reach
from extproc.limits.standing import refuse, tell
from extproc.limits.stop import SLICE_TOKENS, Stop
from extproc.limits.watch import Watched
from extproc.ports import LimitMeter
from extproc.request import Body, Fact, Identity, Kind, Model, Operation, Prompt, Request, Scalar

LEASE_S = 35.0
"""How long a request keeps its place without a sign of life. Envoy gives one every 10 s: three in a
row may be lost."""

GRACE_S = (0.005, 0.01, 0.02, 0.04)
"""Pauses before another look when only places are missing. A client has its answer some milliseconds
before Envoy's log has told us that the place is free, and a client that asks again at once would be
refused for it."""

FREE = frozenset({Kind.COUNT_TOKENS})
"""Operations that use no tokens; they count as requests."""


class Reserved(Fact, frozen=True):
    """What was taken, and what is left: for the client's headers, and for whoever settles."""

    tokens: int
    """The largest reservation of tokens."""
    told: Mapping[str, str]
    """See `standing.tell`."""
    estimate: Estimate
    watched: tuple[Charge, ...] = ()
    """Charges that are taken slice by slice."""
    degraded: str = ""

    def witness(self) -> Mapping[str, Scalar]:
        known: dict[str, Scalar] = {"reserved_tokens": self.tokens, **self.told}
        if self.watched:
            known["sliced"] = True
        if self.degraded:
            known["limits"] = self.degraded
        return known


class Limits(Filter):
    name: ClassVar[str] = "limits"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset(
        {Operation, Identity, Body, Prompt, Model, Counted}
    )

    def __init__(
        self,
        reaches: Sequence[Reach],
        counters: Counters,
        meter: LimitMeter,
        clock: Callable[[], float],
        alert: Callable[[Alert], object] = lambda _: None,
    ) -> None:
        """`alert` is told when a budget reaches one of its levels; `clock` tells seconds since the
        epoch."""
        self._reaches = reaches
        self._counters = counters
        self._meter = meter
        self._clock = clock
        self._alert = alert
        self._watch = Watched(reaches)

    def wish(self, request: Request) -> AnswerMode:
        needed = self._watch.needed(request.fact(Identity))
        return AnswerMode.DUPLEX if needed else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        identity, model = request.fact(Identity), request.fact(Model)
        kind = request.fact(Operation).kind
        met = [reach for reach in self._reaches if reach.covers(identity, model, kind)]
        if not met:
            return request
        estimate = estimate_of(request)
        watches = is_watched(request)
        if watches and any(reach.stop for reach in met):
            estimate = estimate.first(SLICE_TOKENS)
        charges = [
            Charge(
                reach.limit,
                reach.scope(identity, model),
                estimate.amount(reach.limit, in_full=reach.stop and not watches),
            )
            for reach in met
        ]
        verdict = await self._reserve(request.settle_key, charges)
        self._meter.reserved(charges, verdict)
        self._watch.learn(verdict.standings)
        if not verdict.admitted:
            return refuse(verdict, {each.limit.name: each.amount for each in charges})
        sliced = [c for c, reach in zip(charges, met, strict=True) if reach.stop and watches]
        return request.having(take_note(estimate, charges, sliced, verdict))

    async def _reserve(self, settle_key: str, charges: Sequence[Charge]) -> Verdict:
        verdict = await self._counters.reserve(settle_key, charges, LEASE_S)
        for pause_s in GRACE_S:
            if verdict.admitted or not all(map(is_semaphore, verdict.blocking)):
                break
            await asyncio.sleep(pause_s)
            verdict = await self._counters.reserve(settle_key, charges, LEASE_S)
        return verdict

    def transform(self, request: Request) -> BodyTransform | None:
        reserved = request.find(Reserved)
        if reserved is None or not reserved.watched:
            return None
        estimate = reserved.estimate
        more = partial(self._reserve_more, Slices(request.settle_key), reserved)
        kind = request.fact(Operation).kind
        first = ending(kind, estimate.prompt_tokens)
        return Stop(first, estimate.expected_tokens, estimate.most_tokens, more)

    async def _reserve_more(self, slices: "Slices", reserved: Reserved, tokens: int) -> str:
        more = msgspec.structs.replace(
            reserved.estimate,
            prompt_tokens=0,
            longest_prompt_tokens=0,
            expected_tokens=tokens,
            most_tokens=tokens,
        )
        charges = [Charge(c.limit, c.scope, more.amount(c.limit)) for c in reserved.watched]
        verdict = await self._counters.reserve(slices.next(), charges, LEASE_S)
        if verdict.admitted:
            return ""
        return next((one.limit.name for one in verdict.blocking), "unavailable")

    async def renew(self, outcome: Outcome) -> None:
        if "reserved_tokens" in outcome.witness:
            await self._counters.renew(str(outcome.witness["settle_key"]), LEASE_S)

    async def settle(self, outcome: Outcome) -> None:
        known = outcome.witness
        if "reserved_tokens" not in known:
            return
        counted, key = int(known.get("prompt_estimate", 0)), str(known["settle_key"])
        used = spent(outcome, counted, str(known.get("price", "")))
        settlement = await self._counters.settle(key, used)
        self._meter.settled(settlement)
        for settled in settlement.limits:
            now_ms = round(self._clock() * 1000)
            for told in notices(settled, str(known.get("tenant", "")), now_ms):
                self._alert(told)
        if known.get("sliced"):
            slices = Slices(key)
            while (await self._counters.settle(slices.next(), None)).state == "settled":
                pass


class Slices:
    """Keys of the slices that one stream reserves, in order. Whoever settles counts up as well."""

    def __init__(self, settle_key: str) -> None:
        self._settle_key = settle_key
        self._count = 0

    def next(self) -> str:
        self._count += 1
        return f"{self._settle_key}+{self._count}"


def is_semaphore(standing: Standing) -> bool:
    return standing.limit.algorithm is Algorithm.SEMAPHORE


def is_watched(request: Request) -> bool:
    """Say whether the answer passes before our eyes, event by event."""
    shown = request.find(Shown)
    return shown is not None and shown.mode is AnswerMode.DUPLEX and request.fact(Prompt).stream


def estimate_of(request: Request) -> Estimate:
    """Put together what is known of a request's size."""
    if request.fact(Operation).kind in FREE:
        return Estimate(0, 0, 0, 0)
    counted = request.fact(Counted)
    longest = counted.prompt_tokens
    if counted.counted_by == "estimate":  # no token is shorter than a byte
        longest = max(longest, len(request.fact(Body).raw))
    return Estimate(
        counted.prompt_tokens,
        longest,
        counted.likely_tokens,
        counted.most_tokens,
        request.fact(Model).price,
    )


def take_note(
    estimate: Estimate, charges: Sequence[Charge], sliced: Sequence[Charge], verdict: Verdict
) -> Reserved:
    tokens = [each.amount for each in charges if each.limit.unit is Unit.TOKENS]
    told = tell(verdict.standings)
    return Reserved(max(tokens, default=0), told, estimate, tuple(sliced), verdict.degraded)
