"""Does it fit: every limit that is for a request takes from it before it leaves, or none does.

    decide   reserve what the request is expected to use
    renew    it still runs: keep its places in semaphores
    settle   put what it has used in place of what was reserved; the counters know what they have heard

Any worker may settle, under any policy: the counters know what a settle key has reserved. A request
that a later filter refuses is settled as well, with nothing used.

Where a limit has a line, a request that it refuses waits for its turn instead, if that is likely to come
in time (`queueing.py`).

A limit that may stop an answer midway reserves slice by slice while the stream is watched
(`limits/stop.py`, `limits/slices.py`); what is not watched is reserved in full.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil
from typing import ClassVar

from alerts.alert import Alert
from extproc.counting.counted import Counted
from extproc.decision import Decision, Deny, Outcome, Wait
from extproc.dialects.ending import ending
from extproc.filter import AnswerMode, BodyTransform, Filter
from extproc.filters.claim import Claim, make_claim
from extproc.filters.queueing import Queue, most_s, shed
from extproc.limits.amounts import Estimate, spent
from extproc.limits.base import (
    Algorithm,
    Charge,
    Counters,
    Standing,
    Unit,
    Verdict,
    has_line,
)
from extproc.limits.notice import notices
from extproc.limits.patience import patience_s
from extproc.limits.reach import Reach
from extproc.limits.slices import Slices
from extproc.limits.standing import refuse, tell
from extproc.limits.stop import Stop
from extproc.limits.waiting import Asked, Turn
from extproc.limits.watch import Watched
from extproc.ports import LimitMeter
from extproc.request import Body, Fact, Identity, Model, Operation, Prompt, Request, Scalar

LEASE_S = 35.0
"""How long a request keeps its place without a sign of life. Envoy gives one every 10 s: three in a
row may be lost."""

GRACE_S = (0.005, 0.01, 0.02, 0.04)
"""Pauses before another look when only places are missing. A client has its answer some milliseconds
before Envoy's log has told us that the place is free, and a client that asks again at once would be
refused for it."""

UNDER_WAY_S = 0.05
"""A reservation whose client has just left may still be on its way; by then it has been made, or given up:
twice the deadline of a call, and a little more."""


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
    queued_ms: int = 0
    """How long it has waited for room."""

    def witness(self) -> Mapping[str, Scalar]:
        known: dict[str, Scalar] = {"reserved_tokens": self.tokens, **self.told}
        if self.watched:
            known["sliced"] = True
        if self.degraded:
            known["limits"] = self.degraded
        if self.queued_ms:
            known["queued_ms"] = self.queued_ms
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
        queue: Queue | None = None,
    ) -> None:
        """`alert` is told when a budget reaches one of its levels; `clock` tells seconds since the
        epoch. Without a queue nobody waits."""
        self._reaches = reaches
        self._counters = counters
        self._meter = meter
        self._clock = clock
        self._alert = alert
        self._watch = Watched(reaches)
        self._queue = queue if any(has_line(reach.limit) for reach in reaches) else None

    def wish(self, request: Request) -> AnswerMode:
        needed = self._watch.needed(request.fact(Identity))
        return AnswerMode.DUPLEX if needed else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        identity, model = request.fact(Identity), request.fact(Model)
        kind = request.fact(Operation).kind
        met = [reach for reach in self._reaches if reach.covers(identity, model, kind)]
        if not met:
            return request
        ticket = self._queue.ticket(request) if self._queue else None
        claim = make_claim(request, met, ticket)
        verdict = await self._reserve(claim)
        if not verdict.admitted and self._queue and patience_s(verdict):
            return self._wait(self._queue, claim, verdict)
        return self._end(claim, verdict)

    async def _reserve(self, claim: Claim) -> Verdict:
        verdict = await self._reserve_once(claim)
        for pause_s in GRACE_S:
            if verdict.admitted or not all(map(is_semaphore, verdict.blocking)):
                break
            if patience_s(verdict):  # there is a line
                break
            await asyncio.sleep(pause_s)
            verdict = await self._reserve_once(claim)
        return verdict

    async def _reserve_once(self, claim: Claim) -> Verdict:
        key = claim.request.settle_key
        return await self._counters.reserve(key, claim.charges, LEASE_S, ticket=claim.ticket)

    def _wait(self, queue: Queue, claim: Claim, verdict: Verdict) -> Decision:
        assert claim.ticket
        asked = queue.ask(claim.request, claim.charges, LEASE_S, claim.ticket)
        if why := queue.refuses(asked, verdict):
            return self._end(claim, verdict, Turn(verdict, 0.0, why))
        return Wait(most_s(asked, verdict), partial(self._stand, queue, claim, asked, verdict))

    async def _stand(self, queue: Queue, claim: Claim, asked: Asked, verdict: Verdict) -> Decision:
        turn = await queue.wait(asked, verdict)
        return self._end(claim, turn.verdict, turn)

    def _end(self, claim: Claim, verdict: Verdict, turn: Turn | None = None) -> Request | Deny:
        charges = claim.charges
        self._meter.reserved(charges, verdict)
        self._watch.learn(verdict.standings)
        if verdict.admitted:
            return claim.request.having(take_note(claim, verdict, turn))
        deny = refuse(verdict, {each.limit.name: each.amount for each in charges})
        return shed(deny, turn.why, turn.waited_s) if turn and turn.why else deny

    def transform(self, request: Request) -> BodyTransform | None:
        reserved = request.find(Reserved)
        if reserved is None or not reserved.watched:
            return None
        estimate = reserved.estimate
        slices = Slices(self._counters, request.settle_key, LEASE_S)
        more = partial(slices.reserve, reserved.watched, estimate)
        kind = request.fact(Operation).kind
        first = ending(kind, estimate.prompt_tokens)
        return Stop(first, estimate.expected_tokens, estimate.most_tokens, more)

    async def renew(self, outcome: Outcome) -> None:
        if "reserved_tokens" in outcome.witness:
            await self._counters.renew(str(outcome.witness["settle_key"]), LEASE_S)

    async def settle(self, outcome: Outcome) -> None:
        if may_have_reserved(outcome):
            await asyncio.sleep(UNDER_WAY_S)
        await self.settle_again(outcome)

    async def settle_again(self, outcome: Outcome) -> None:
        """Whatever was under way when it ended is not any more: this waits for nothing."""
        known = outcome.witness
        if may_have_reserved(outcome):
            await self._counters.settle(str(known["settle_key"]), None, forget=True)
        if "reserved_tokens" not in known:
            return
        counted, key = int(known.get("prompt_estimate", 0)), str(known["settle_key"])
        used = spent(outcome, counted, str(known.get("price", "")))
        settlement = await self._counters.settle(key, used)
        self._meter.settled(settlement)
        now_ms = round(self._clock() * 1000)
        for told in notices(settlement, str(known.get("tenant", "")), now_ms):
            self._alert(told)
        if known.get("sliced"):
            slices = Slices(self._counters, key, LEASE_S)
            await slices.give_back(used.completion_tokens if used else 0)


def is_semaphore(standing: Standing) -> bool:
    return standing.limit.algorithm is Algorithm.SEMAPHORE


def may_have_reserved(outcome: Outcome) -> bool:
    """Say whether what was reserved may have been lost on its way to Envoy, because the client had left
    or the worker died: then nothing but the key is known, and nobody was asked for an answer."""
    known = outcome.witness
    lost = outcome.status == 0 or outcome.status >= 500
    decided = "deny" in known or "reserved_tokens" in known
    return lost and outcome.attempts == 0 and "settle_key" in known and not decided


def take_note(claim: Claim, verdict: Verdict, turn: Turn | None) -> Reserved:
    tokens = [each.amount for each in claim.charges if each.limit.unit is Unit.TOKENS]
    return Reserved(
        max(tokens, default=0),
        tell(verdict.standings),
        claim.estimate,
        tuple(claim.sliced),
        verdict.degraded,
        ceil(turn.waited_s * 1000) if turn else 0,
    )
