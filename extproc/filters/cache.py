"""Answers that are given again: a request whose equal was answered a while ago needs no engine.

A hit is the reply (`serve.py`), a miss goes on, and `collect.py` keeps its answer.

`Cache` stands behind all that looks at prompts, so what is kept is what engines got to see, and what
they sent: personal data is placeholders in the question and in its answer. A hit is rewritten by the
filters before it as an engine's answer is: moderated, and for each caller their own values put back.
Whatever goes wrong here, the request goes on.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import msgspec

from extproc.cache.answer import Answer, unpack
from extproc.cache.base import Answers, Entry
from extproc.cache.eligible import KINDS, find_bypass, read_control
from extproc.cache.flights import Flight, Flights, Lead
from extproc.cache.keeper import Keeper
from extproc.cache.key import Asked, Keys
from extproc.cache.rules import CacheRule, find_rule
from extproc.cache.turn import Sought, take_turn
from extproc.decision import Decision, Wait
from extproc.errors import CountersFaultError, EmbeddingError, QuestionsFaultError
from extproc.filter import AnswerMode, Filter, OnFault
from extproc.filters.collect import Filling, Looked
from extproc.filters.serve import Hit, How, Look, make_reply
from extproc.ports import CacheMeter, EngineView
from extproc.request import (
    Body,
    Fact,
    Identity,
    Model,
    Operation,
    Prompt,
    Request,
)
from extproc.safety.masked import Masked

MOST_ASKED = 4
"""Answers that are looked up for one question: those of the nearest may be forgotten, or too old."""
MOST_S = 29.0
"""What Envoy is asked for, whatever it takes: see `filters/cascade.py`."""


@dataclass(frozen=True, slots=True)
class Caching:
    """What outlives policies, and what the world is for the cache."""

    answers: Answers
    flights: Flights
    keeper: Keeper
    meter: CacheMeter


class Cache(Filter):
    name: ClassVar[str] = "cache"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Body, Prompt, Model})
    on_fault: OnFault = "continue"

    def __init__(
        self,
        rules: Sequence[CacheRule],
        keys: Keys,
        caching: Caching,
        view: EngineView,
        elsewhere: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`elsewhere`: pools of which nobody knows whether they are up; `clock`: seconds since the
        epoch."""
        self._rules = rules
        self._keys = keys
        self._caching = caching
        self._view = view
        self._elsewhere = elsewhere
        self._clock = clock

    def wish(self, request: Request) -> AnswerMode:
        """Only tenants that a rule is for pay for it."""
        tenant = request.fact(Identity).tenant
        wanted = request.fact(Operation).kind in KINDS
        if not wanted or not any(rule.may_cover(tenant) for rule in self._rules):
            return AnswerMode.NONE
        control = read_control(request.headers.get("cache-control", ""))
        return AnswerMode.NONE if control.no_store else AnswerMode.STREAMED

    async def decide(self, request: Request) -> Decision:
        identity, model = request.fact(Identity), request.fact(Model)
        rule = find_rule(self._rules, identity, model)
        if rule is None:
            return request
        kind, prompt = request.fact(Operation).kind, request.fact(Prompt)
        control = read_control(request.headers.get("cache-control", ""))
        reason = find_bypass(kind, prompt.document, prompt.n, rule.most_temperature)
        if control.no_store:
            reason = "no-store"
        asked = Asked(identity, model, kind, rule.sharing)
        key = None if reason else self._keys.key(asked, prompt.document)
        if key is None:
            return self._bypass(request, reason or "unreadable")
        look = Look(request, rule, key, control)
        if control.no_cache:
            return self._miss(await self._hear(look, asked), None)
        return await self._find(look, asked)

    def _bypass(self, request: Request, reason: str) -> Request:
        self._caching.meter.looked("bypass", reason)
        return request.having(Looked(f"bypass; reason={reason}"))

    async def _find(self, look: Look, asked: Asked) -> Decision:
        entry = await self._get(look.key)
        if entry is not None and (reply := self._fresh(look, entry, "exact")):
            return reply
        look = await self._hear(look, asked)
        if (reply := await self._alike(look)) is not None:
            return reply
        if entry is not None and (reply := self._stale(look, entry)) is not None:
            return reply
        return self._join(look)

    async def _get(self, key: str) -> Entry | None:
        try:
            return await self._caching.answers.get(key)
        except CountersFaultError:
            self._caching.meter.looked("fault", "store")
            return None

    def _fresh(self, look: Look, entry: Entry, how: How, said: str = "") -> Decision | None:
        now_ms, most_s = round(self._clock() * 1000), look.rule.ttl_s
        if look.control.max_age_s is not None:
            most_s = min(most_s, look.control.max_age_s)
        if now_ms >= entry.fresh_ms or now_ms - entry.at_ms > most_s * 1000:
            return None
        answer = unpack(entry.answer)
        return None if answer is None else self._hit(look, answer, entry.at_ms, how, said)

    def _stale(self, look: Look, entry: Entry) -> Decision | None:
        """Serve what is past its time where nobody else can answer."""
        model, most_s = look.request.fact(Model), look.rule.ttl_s + look.rule.stale_if_error_s
        if not look.rule.stale_if_error_s or model.pool in self._elsewhere:
            return None
        if self._view.candidates(model.pool, model.name):
            return None
        if round(self._clock() * 1000) - entry.at_ms > most_s * 1000:
            return None
        answer = unpack(entry.answer)
        return None if answer is None else self._hit(look, answer, entry.at_ms, "stale")

    async def _hear(self, look: Look, asked: Asked) -> Look:
        """Find out how the question sounds, where that is wanted: 1-2 ms in a thread. What was masked
        is never compared."""
        likeness, request = self._caching.keeper.likeness, look.request
        if likeness is None or look.rule.semantic is None or request.find(Masked):
            return look
        taken = take_turn(asked.kind, request.fact(Prompt).document)
        partition = self._keys.partition(asked, taken[1]) if taken else None
        if taken is None or partition is None:
            return look
        try:
            sought = await likeness.hear(Sought(self._keys.place(asked), partition, taken[0]))
        except EmbeddingError:
            self._caching.meter.looked("fault", "embedding")
            return look
        return msgspec.structs.replace(look, sought=sought)

    async def _alike(self, look: Look) -> Decision | None:
        likeness, rule = self._caching.keeper.likeness, look.rule.semantic
        if likeness is None or look.sought is None or rule is None:
            return None
        try:
            found = await likeness.find(look.sought, rule.threshold, round(self._clock() * 1000))
        except QuestionsFaultError:
            self._caching.meter.looked("fault", "questions")
            return None
        for near in found[:MOST_ASKED]:
            entry = await self._get(near.key)
            said = f"; similarity={near.similarity:.3f}"
            if entry is not None and (reply := self._fresh(look, entry, "semantic", said)):
                return reply
        return None

    def _join(self, look: Look) -> Decision:
        """Go, or wait for whoever goes already."""
        joined = self._caching.flights.join(look.key)
        if isinstance(joined, Lead):
            return self._miss(look, joined)
        if look.rule.wait_s <= 0:
            return self._miss(look, None)
        return Wait(MOST_S, partial(self._wait, look, joined))

    async def _wait(self, look: Look, flight: Flight) -> Decision:
        due_s = asyncio.get_running_loop().time() + look.rule.wait_s
        while True:
            try:
                async with asyncio.timeout_at(due_s):
                    answer = await asyncio.shield(flight)
            except TimeoutError:
                return self._miss(look, None)
            if answer is not None:
                return self._hit(look, answer, round(self._clock() * 1000), "coalesced")
            joined = self._caching.flights.join(look.key)  # whoever went came back with nothing
            if isinstance(joined, Lead):
                return self._miss(look, joined)
            flight = joined

    def _miss(self, look: Look, lead: Lead | None) -> Request:
        self._caching.meter.looked("miss", "")
        filling = Filling(look.key, look.rule, lead, look.sought)
        return look.request.having(Looked("miss", filling))

    def _hit(self, look: Look, answer: Answer, at_ms: int, how: How, more: str = "") -> Decision:
        self._caching.meter.looked("hit", how)
        age_s = max(0, round(self._clock() - at_ms / 1000))
        first = "stale" if how == "stale" else "hit"
        said = f"{first}; kind={'exact' if how == 'stale' else how}; age={age_s}{more}"
        reply = make_reply(look, answer, said, at_ms // 1000)
        if not look.rule.charge_limits:
            return reply
        return look.request.having(Looked(said)).having(Hit(reply))
