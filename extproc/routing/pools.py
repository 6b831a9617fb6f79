"""The pools of a policy, and who may be picked in each: whom it names itself, and whom others have found.

There is one `Candidate` for each endpoint of each pool. It stays the same object for as long as it may be
picked, whatever policies come: whoever learns something of an endpoint changes it in place.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from engines.watch.messages import Member, Members, Stored
from extproc.routing.candidate import Candidate
from extproc.routing.prefixes import Prefixes

LEAVE_S = 5.0
"""How long a pool that is gone from the policy is still known, for requests that were under way when it went: they go
by the policy they began with. Envoy keeps it as long (`extproc/cli/published.py`)."""

Named = Mapping[str, tuple[Sequence[Member], bool]]
"""Of a policy: the static members of each pool, and whether others name more."""
Entries = Sequence[tuple[str, Candidate]]
"""One endpoint in each pool it belongs to."""


@dataclass(slots=True)
class Pool:
    """One pool."""

    static: tuple[Member, ...] = ()
    discovered: bool = False
    candidates: dict[str, Candidate] = field(default_factory=dict[str, Candidate])
    """Those that are ready."""
    ready: list[Candidate] = field(default_factory=list[Candidate])
    """The same, as a list that is replaced, never changed."""
    names: frozenset[str] = frozenset()
    """All members, those that drain among them: they may come back, with the cache that they have then."""
    prefixes: Prefixes = field(default_factory=Prefixes)

    def members(self, found: Sequence[Member]) -> Sequence[Member]:
        """A policy may name an endpoint before the watch process has read it, so for static ones the
        policy's word counts."""
        by_endpoint = {member.endpoint: member for member in found}
        if self.discovered and by_endpoint:
            return list(by_endpoint.values())
        return [
            structs.replace(member, since_s=by_endpoint[member.endpoint].since_s)
            if member.endpoint in by_endpoint
            else member
            for member in self.static
        ]


class Pools:
    """All of them. Who reads the attributes sees them as they are now; only methods change them."""

    def __init__(self) -> None:
        self.current: dict[str, Pool] = {}
        """Those of the policy."""
        self.gone: dict[str, Pool] = {}
        """Those of the policy before, as they were."""
        self.members: Mapping[str, Sequence[Member]] = {}
        """Of each current pool, ready or not."""
        self.known = frozenset[str]()
        """The endpoints of all these."""
        self.by_endpoint: dict[str, list[tuple[str, Candidate]]] = {}
        """Those that are ready, in the pools they are ready in. It is replaced, never changed."""
        self._found = Members({})
        self._early: dict[str, Prefixes] = {}
        """What caches hold in pools that are told of before the policy has them: nobody tells it twice."""
        self._gone_until_s = 0.0

    def track(self, named: Named, now_s: float) -> Collection[str]:
        """Take a policy. Returns the endpoints that are ready no longer, in any pool."""
        before = {**self.gone, **self.current}
        self.gone = {name: pool for name, pool in before.items() if name not in named}
        self._gone_until_s = now_s + LEAVE_S
        self.current = {}
        for name, (static, discovered) in named.items():
            pool = before.get(name) or Pool(prefixes=self._early.pop(name, Prefixes()))
            self.current[name] = pool
            pool.static, pool.discovered = tuple(static), discovered
        return self._join()

    def hear(self, found: Members) -> Collection[str]:
        """Take whom the watch process has found. Returns the same."""
        self._found = found
        for name in self._early.keys() - found.pools.keys():
            del self._early[name]
        return self._join()

    def expire(self, now_s: float) -> None:
        """Forget pools whose time is over."""
        if now_s >= self._gone_until_s:
            self.gone = {}

    def store(self, stored: Stored) -> None:
        """Note what a member's cache has gained and lost."""
        prefixes, endpoint = self._prefixes(stored), stored.endpoint
        if prefixes is None:
            return
        if stored.cleared:
            prefixes.clear(endpoint)
        if stored.stored:
            prefixes.store(endpoint, stored.stored)
        if stored.removed:
            prefixes.remove(endpoint, stored.removed)

    def _prefixes(self, stored: Stored) -> Prefixes | None:
        """Find where that is noted; None: it is no member's."""
        name, endpoint = stored.pool, stored.endpoint
        if (pool := self.current.get(name) or self.gone.get(name)) is not None:
            return pool.prefixes if endpoint in pool.names else None
        if all(endpoint != member.endpoint for member in self._found.pools.get(name, ())):
            return None
        return self._early.setdefault(name, Prefixes())

    def _join(self) -> Collection[str]:
        """Work out who the candidates are."""
        before = self.by_endpoint
        entries: dict[str, list[tuple[str, Candidate]]] = {}
        joined: dict[str, Sequence[Member]] = {}
        for name, pool in self.current.items():
            members = joined[name] = pool.members(self._found.pools.get(name, ()))
            pool.names = frozenset(member.endpoint for member in members)
            pool.candidates = {}
            for member in members:
                if member.state == "ready":
                    known = find(name, before.get(member.endpoint, ()))
                    candidate = known or Candidate(member.endpoint)
                    candidate.role = member.role
                    pool.candidates[member.endpoint] = candidate
                    entries.setdefault(member.endpoint, []).append((name, candidate))
            pool.prefixes.keep_only(pool.names)
            pool.ready = list(pool.candidates.values())
        self.by_endpoint, self.members = entries, joined
        self.known = frozenset[str]().union(*(pool.names for pool in self.current.values()))
        return before.keys() - entries.keys()


def find(pool: str, entries: Entries) -> Candidate | None:
    return next((candidate for name, candidate in entries if name == pool), None)
