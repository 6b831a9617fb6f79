"""All that is known against one endpoint of a pool, and for it."""

from collections.abc import Iterable, Mapping
from math import inf
from types import MappingProxyType
from typing import Literal

import msgspec

from engines.watch.messages import Look, Member
from extproc.routing.breaker import Breaker, BreakerRules
from extproc.routing.ejection import Fitness
from extproc.routing.pressure import Pressure, PressureRules
from extproc.routing.slowness import Slowness, SlownessRules
from extproc.routing.standstill import Standstill
from extproc.routing.warmth import WarmthRules, warmth

Condition = Literal["ready", "half_open", "open", "draining"]

MOST_MODELS = 64
"""Models of one endpoint that have a breaker of their own; engines serve a few, adapters dozens."""
SILENCES: Mapping[str, str] = MappingProxyType(
    {"timeout": "silent", "broken": "silent", "status": "unhealthy"}
)
"""Faults of looks that count when they last, and what they are called then. A long prompt can keep a
healthy engine from answering for a moment."""
FAULT_LASTS_S = 30.0
"""How long a refused connection counts without another look: whoever looks may be gone. Longer than
the longest pause between two looks."""


class HealthRules(msgspec.Struct, frozen=True):
    """Of one pool."""

    breaker: BreakerRules = BreakerRules()
    pressure: PressureRules = PressureRules()
    slowness: SlownessRules = SlownessRules()
    warmth: WarmthRules = WarmthRules()
    silent_s: float | None = 3.0
    """Looks that fail for so long mean that it cannot serve; None is never."""
    most_out: float = 0.5
    """Share of the pool that may be out at once."""


class EndpointHealth:
    """Of one endpoint. Whoever calls a method that takes a time refreshes it afterwards."""

    __slots__ = (
        "_breaker", "_fault_at_s", "_faults_since_s", "_member", "_models", "_pressure", "_refuses",
        "_rules", "_silence", "_slowness", "_standstill", "_warm_since_s", "condition", "reasons",
        "until_s",
    )  # fmt: skip

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self._breaker = Breaker(rules.breaker)
        self._models = dict[str, Breaker]()
        self._pressure = Pressure(rules.pressure)
        self._slowness = Slowness(rules.slowness)
        slow = rules.slowness
        self._standstill = Standstill(None if slow.ttft_p99_s is None else slow.for_s)
        self._member: Member | None = None
        self._refuses = False
        self._silence = ""
        self._fault_at_s = -inf
        self._faults_since_s: float | None = None
        self._warm_since_s = -inf
        self.condition: Condition = "ready"
        self.reasons: tuple[str, ...] = ()
        """Names of conditions; one that concerns a single model has its name behind a colon."""
        self.until_s = inf
        """When time alone may change something."""

    @property
    def is_well(self) -> bool:
        return self.condition == "ready" and not self.reasons

    def join(self, member: Member) -> None:
        self._member = member
        self._warm_since_s = max(self._warm_since_s, member.since_s)

    def warmth(self, now_s: float) -> float:
        if self.condition == "half_open":
            return self._rules.warmth.least
        return warmth(now_s - self._warm_since_s, self._rules.warmth)

    def answered(self, *, ok: bool, model: str, began_s: float, now_s: float) -> None:
        """It gave an answer. A bad one is held against the model, for others there may be well."""
        if ok:
            self._breaker.ended(ok=True, began_s=began_s, now_s=now_s)
        if breaker := self._of(model, now_s):
            breaker.ended(ok=ok, began_s=began_s, now_s=now_s)

    def failed(self, *, model: str, began_s: float, now_s: float) -> None:
        """It gave none, or broke off: that concerns whatever runs there."""
        self._breaker.ended(ok=False, began_s=began_s, now_s=now_s, reason="unanswered")
        if breaker := self._of(model, now_s):
            breaker.ended(ok=False, began_s=began_s, now_s=now_s)

    def _of(self, model: str, now_s: float) -> Breaker | None:
        found = self._models.get(model)
        if found is None:
            if len(self._models) >= MOST_MODELS:
                idle = [m for m, each in self._models.items() if not each.is_live(now_s)]
                for each in idle:
                    del self._models[each]
            if len(self._models) < MOST_MODELS:
                found = self._models[model] = Breaker(self._rules.breaker)
        return found

    def picked(self, now_s: float) -> None:
        """Count a try against whatever is half open here."""
        self._breaker.picked(now_s)
        for each in self._models.values():
            each.picked(now_s)

    def look(self, look: Look, now_s: float, in_flight: int = 0) -> bool:
        """Take a look, and how many requests of this host are there; return whether it changes
        anything."""
        was = (self._refuses, self._silence, self._pressure.kv_cache, self._pressure.queue)
        self._refuses = look.fault == "refused"
        self._silence = self._find_silence(look, now_s)
        tripped = False
        if look.fault:
            self._fault_at_s = look.at_s
        elif now_s - look.at_s <= self._rules.pressure.stale_s:
            self._pressure.look(look.load, look.at_s)
            if self._slowness.look(look.load, look.at_s) and self._breaker.state == "closed":
                self._breaker.trip("slow", now_s)
                tripped = True
            stands_still = self._standstill.look(look.load, in_flight, look.at_s)
            if stands_still and self._breaker.state != "open":
                self._breaker.trip("stuck", now_s)
                tripped = True
        now = (self._refuses, self._silence, self._pressure.kv_cache, self._pressure.queue)
        return tripped or was != now

    def _find_silence(self, look: Look, now_s: float) -> str:
        """Name what its looks fail of, if they have failed for long enough."""
        name = SILENCES.get(look.fault, "")
        if not name:
            self._faults_since_s = None
            return ""
        if self._faults_since_s is None:
            self._faults_since_s = look.at_s
        silent_s = self._rules.silent_s
        lasts = silent_s is not None and now_s - self._faults_since_s >= silent_s
        return name if lasts else ""

    def refresh(self, now_s: float) -> None:
        """Let time pass, and work out the condition."""
        if now_s - self._fault_at_s > FAULT_LASTS_S:
            self._refuses, self._silence = False, ""
        self._pressure.pass_time(now_s)
        for each in self._breakers():
            each.pass_time(now_s)
        was = self.condition
        self.reasons = tuple(self._find_reasons())
        self.condition = self._work_out(now_s)
        self.until_s = self._find_deadline()
        # What was merely full is warm, and was perhaps never out.
        if self.condition == "ready" and was == "half_open":
            self._warm_since_s = now_s
        elif self._refuses or self._silence:
            self._warm_since_s = max(self._warm_since_s, now_s)

    def _breakers(self) -> Iterable[Breaker]:
        return (self._breaker, *self._models.values())

    def _find_reasons(self) -> Iterable[str]:
        if self._is_draining:
            yield "draining"
        if self._refuses:
            yield "refused"
        if self._silence:
            yield self._silence
        if self._breaker.reason:
            yield self._breaker.reason
        for model, each in self._models.items():
            if each.reason:
                yield f"{each.reason}:{model}" if model else each.reason
        yield from self._pressure.reasons

    def _work_out(self, now_s: float) -> Condition:
        if self._is_draining:
            return "draining"
        live = [each for each in self._models.values() if each.is_live(now_s)]
        ailing = bool(live) and all(each.state != "closed" for each in live)
        states = {self._breaker.state, *(each.state for each in live if ailing)}
        shut = ailing and all(each.state == "open" for each in live)
        if self._refuses or self._silence or self._pressure.reasons:
            return "open"
        if self._breaker.state == "open" or shut:
            return "open"
        return "half_open" if states & {"half_open", "open"} else "ready"

    @property
    def _is_draining(self) -> bool:
        return self._member is not None and self._member.state == "draining"

    def _find_deadline(self) -> float:
        deadlines = [each.until_s for each in self._breakers()]
        if self._pressure.reasons:
            deadlines.append(self._pressure.until_s)
        if self._refuses or self._silence:
            deadlines.append(self._fault_at_s + FAULT_LASTS_S)
        return min(deadlines)

    def fitness(self, model: str, now_s: float) -> Fitness:
        """How fit it is for that model; without a name, for any that it has served of late."""
        if self._is_draining:
            return Fitness.LEAVING
        if self._refuses:
            return Fitness.REFUSING
        if self._silence:
            return Fitness.SILENT
        if not self._breaker.admits:
            return Fitness.SLOW if self._breaker.reason == "slow" else Fitness.FAILING
        if not self._admits(model, now_s):
            return Fitness.FAILING
        return Fitness.FULL if self._pressure.reasons else Fitness.FIT

    def _admits(self, model: str, now_s: float) -> bool:
        if model:
            found = self._models.get(model)
            return found is None or found.admits
        live = [each for each in self._models.values() if each.is_live(now_s)]
        return not live or any(each.admits for each in live)
