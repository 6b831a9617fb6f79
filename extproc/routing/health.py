"""Who may be sent something: breakers, pressure, slow start and the bound on ejection, joined.

`keep` runs at every pick. While nothing is wrong in a pool it is one look-up; while something is, its
answer is kept until something changes or a deadline passes.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf

import msgspec

from engines.watch.messages import Ended, Look, Member
from extproc.routing.candidate import Candidate
from extproc.routing.condition import Condition, EndpointHealth, HealthRules
from extproc.routing.ejection import Fitness, find_out

MOST_CHANGES = 1000
"""Kept for whoever asks for them; older ones are dropped."""


MOST_KEPT = 1000
"""Answers of one pool, one for each model."""


class Change(msgspec.Struct, frozen=True):
    """An endpoint's condition, before and after."""

    pool: str
    endpoint: str
    was: Condition
    now: Condition
    before: tuple[str, ...]
    """What spoke against it before."""
    reasons: tuple[str, ...]
    """What speaks against it now."""
    at_s: float


class _Kept(msgspec.Struct, frozen=True):
    """An answer of `keep`, and for what it holds."""

    asked: Sequence[Candidate]
    count: int
    version: int
    until_s: float
    answer: Sequence[Candidate]


class _Pool:
    """The endpoints of one pool."""

    def __init__(self, name: str, rules: HealthRules, changes: deque[Change]) -> None:
        self.name = name
        self.rules = rules
        self.members: Sequence[Member] | None = None
        """None: nobody has told."""
        self.endpoints = dict[str, EndpointHealth]()
        self.ailing = dict[str, EndpointHealth]()
        self._changes = changes
        self._kept = dict[str, _Kept]()
        self._version = 0

    def join(self, members: Sequence[Member], now_s: float) -> None:
        self.members = members
        self._version += 1
        for gone in self.endpoints.keys() - {member.endpoint for member in members}:
            del self.endpoints[gone]
            self.ailing.pop(gone, None)
        for member in members:
            found = self.of(member.endpoint)
            found.join(member)
            self.note(member.endpoint, found, now_s)

    def of(self, endpoint: str) -> EndpointHealth:
        found = self.endpoints.get(endpoint)
        if found is None:
            found = self.endpoints[endpoint] = EndpointHealth(self.rules)
        return found

    def find(self, endpoint: str) -> EndpointHealth | None:
        """Look one up. Of pools whose members were told there is nobody else: a retry may have gone to
        another pool."""
        if self.members is not None:
            return self.endpoints.get(endpoint)
        return self.of(endpoint)

    def touch(self) -> None:
        """Something changed that no condition shows."""
        self._version += 1

    def note(self, endpoint: str, found: EndpointHealth, now_s: float) -> None:
        """Work out its condition anew, and tell if it changed."""
        was, reasons = found.condition, found.reasons
        found.refresh(now_s)
        if (was, reasons) == (found.condition, found.reasons):
            return
        self._version += 1
        if found.is_well:
            self.ailing.pop(endpoint, None)
        else:
            self.ailing[endpoint] = found
        change = Change(self.name, endpoint, was, found.condition, reasons, found.reasons, now_s)
        self._changes.append(change)

    def pass_time(self, now_s: float) -> float:
        """Refresh what is due; return when the next is."""
        for endpoint, found in tuple(self.ailing.items()):
            if now_s >= found.until_s:
                self.note(endpoint, found, now_s)
                self._version += 1  # tries were renewed, perhaps
        return min((found.until_s for found in self.ailing.values()), default=inf)

    def keep(self, asked: Sequence[Candidate], now_s: float, model: str) -> Sequence[Candidate]:
        kept = self._kept.get(model)
        if (
            kept is not None
            and kept.asked is asked
            and kept.version == self._version
            and now_s < kept.until_s
            and kept.count == len(asked)
        ):
            return kept.answer
        until_s = self.pass_time(now_s)
        unfit = dict[str, Fitness]()
        for each in asked:
            found = self.ailing.get(each.endpoint)
            if found and (fitness := found.fitness(model, now_s)) is not Fitness.FIT:
                unfit[each.endpoint] = fitness
        out = find_out(unfit, len(asked), self.rules.most_out)
        answer = [each for each in asked if each.endpoint not in out]
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[model] = _Kept(asked, len(asked), self._version, until_s, answer)
        return answer


class Watchdog:
    """Of all pools, in one process. Every `now_s` is of the monotonic clock."""

    def __init__(self, rules: Mapping[str, HealthRules] | None = None) -> None:
        self._rules = rules or {}
        self._pools = dict[str, _Pool]()
        self._changes = deque[Change](maxlen=MOST_CHANGES)

    def govern(self, rules: Mapping[str, HealthRules], now_s: float) -> None:
        """Go by other rules. A pool whose rules have changed begins anew."""
        self._rules = rules
        for name, pool in tuple(self._pools.items()):
            if pool.rules != rules.get(name, HealthRules()):
                del self._pools[name]
                if pool.members is not None:
                    self._of(name).join(pool.members, now_s)

    def members(self, pools: Mapping[str, Sequence[Member]], now_s: float) -> None:
        """Say which endpoints there are, all of them. Those that are gone are forgotten."""
        for gone in self._pools.keys() - pools.keys():
            del self._pools[gone]
        for name, members in pools.items():
            self._of(name).join(members, now_s)

    def _of(self, name: str) -> _Pool:
        found = self._pools.get(name)
        if found is None:
            rules = self._rules.get(name, HealthRules())
            found = self._pools[name] = _Pool(name, rules, self._changes)
        return found

    def ended(self, ended: Ended, now_s: float) -> None:
        """Learn from the end of a request: of those tried without an answer, and of what answered.

        A refusal (4xx) speaks for the endpoint, a client that leaves says nothing of it.
        """
        pool = self._of(ended.pool)
        model, began_s = ended.model, ended.at_s - ended.latency_s
        for endpoint in ended.failed:
            if found := pool.find(endpoint):
                found.failed(model=model, began_s=began_s, now_s=now_s)
                pool.note(endpoint, found, now_s)
                pool.touch()
        endpoint, ok = ended.endpoint, ended.status < 500
        if not endpoint or not ended.status or endpoint in ended.failed:
            return
        if found := pool.find(endpoint):
            found.answered(ok=ok, model=model, began_s=began_s, now_s=now_s)
            if not ok or not found.is_well:
                pool.note(endpoint, found, now_s)
                pool.touch()

    def picked(self, pool: str, endpoint: str, now_s: float) -> None:
        """Count a pick: an endpoint that is half open gets but a few."""
        found = self._pools.get(pool)
        ailing = found.ailing.get(endpoint) if found else None
        if found and ailing:
            ailing.picked(now_s)
            found.touch()

    def look(self, pool: str, look: Look, now_s: float, in_flight: int = 0) -> None:
        """Learn from a look. `in_flight`: requests that this host has there."""
        known = self._of(pool)
        found = known.find(look.endpoint)
        if found is not None and (found.look(look, now_s, in_flight) or not found.is_well):
            known.note(look.endpoint, found, now_s)

    def admits(self, pool: str, endpoint: str, now_s: float, model: str = "") -> bool:
        """Whether nothing is known against it; `keep` may keep it all the same, for want of others."""
        known = self._pools.get(pool)
        found = known.ailing.get(endpoint) if known else None
        if known is None or found is None:
            return True
        known.pass_time(now_s)
        return found.fitness(model, now_s) is Fitness.FIT

    def warmth(self, pool: str, endpoint: str, now_s: float) -> float:
        """How much of its share it should get: above 0, at most 1."""
        known = self._pools.get(pool)
        found = known.endpoints.get(endpoint) if known else None
        return 1.0 if found is None else found.warmth(now_s)

    def keep(
        self, pool: str, candidates: Sequence[Candidate], now_s: float, model: str = ""
    ) -> Sequence[Candidate]:
        """Leave out those that should get nothing now, within the bound."""
        known = self._pools.get(pool)
        if known is None or not known.ailing:
            return candidates
        return known.keep(candidates, now_s, model)

    def states(self, pool: str, now_s: float) -> Mapping[str, tuple[Condition, tuple[str, ...]]]:
        """Tell the condition of every endpoint that is known, and why."""
        known = self._pools.get(pool)
        if known is None:
            return {}
        known.pass_time(now_s)
        return {name: (each.condition, each.reasons) for name, each in known.endpoints.items()}

    def changes(self) -> Sequence[Change]:
        """Take what has changed since the last call, oldest first."""
        taken = tuple(self._changes)
        self._changes.clear()
        return taken
