"""Who belongs to which pool, joined from all that name endpoints. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engines.watch.messages import Member, Members, Role, State

Found = Mapping[str, State]
"""Endpoints that one source names now."""
Source = tuple[str, str]
"""A pool, and what names endpoints of it."""


@dataclass(slots=True)
class Listed:
    """What one source has said last."""

    role: Role
    since_s: dict[str, float] = field(default_factory=dict[str, float])
    found: Found = field(default_factory=dict[str, State])


class Roster:
    """All members of all pools.

    Those that a source names in its first answer were there before: only what is named later is new,
    and may need time to warm up. A source that cannot be asked says nothing, and its last answer holds.
    """

    def __init__(self, pools: Sequence[str] = ()) -> None:
        self._pools = list(pools)
        self._listed: dict[Source, Listed] = {}

    def keep(self, pools: Sequence[str], sources: Sequence[Source]) -> None:
        """Say which there are; the others are forgotten."""
        self._pools = list(pools)
        for gone in self._listed.keys() - set(sources):
            del self._listed[gone]

    def hear(self, source: Source, found: Found, role: Role, now_s: float) -> bool:
        """Take an answer; whether it changes anything."""
        listed = self._listed.get(source)
        if listed is None:
            self._listed[source] = Listed(role, dict.fromkeys(found, 0.0), dict(found))
            return True
        if (listed.found, listed.role) == (found, role):
            return False
        since_s = {endpoint: listed.since_s.get(endpoint, now_s) for endpoint in found}
        self._listed[source] = Listed(role, since_s, dict(found))
        return True

    def members(self) -> Members:
        """Join them. Named by several, an endpoint is ready if any of them says so."""
        pools: dict[str, dict[str, Member]] = {name: {} for name in self._pools}
        for (pool, _), listed in self._listed.items():
            if pool not in pools:
                continue
            joined = pools[pool]
            for endpoint, state in listed.found.items():
                member = Member(endpoint, state, listed.since_s[endpoint], listed.role)
                if endpoint not in joined or joined[endpoint].state == "draining":
                    joined[endpoint] = member
        return Members({name: tuple(joined.values()) for name, joined in pools.items()})
