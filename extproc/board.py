"""All that the watch process tells of engines, as a table: for `headgate endpoints`. No I/O."""

from collections.abc import Mapping, Sequence
from math import isfinite

import msgspec

from engines.load import NOTHING, Load
from engines.watch import messages
from engines.watch.flights import Flights
from engines.watch.messages import Ended, Look, Looks, Member, Members, Picked, Running
from extproc.policy.status import Ailing
from extproc.routing.condition import HealthRules
from extproc.routing.health import Watchdog

States = Mapping[str, tuple[str, tuple[str, ...]]]
READY: tuple[str, tuple[str, ...]] = ("ready", ())

STALE_S = 5.0
"""A look older than this, where five a second are usual, is shown as stale."""


class EndpointRow(msgspec.Struct, frozen=True):
    """One line. What is not known is None."""

    pool: str
    endpoint: str
    state: str
    """`ready`, `half_open`, `open`, `draining`, or `stale`: nothing is heard of it."""
    reasons: tuple[str, ...]
    running: int | None
    waiting: int | None
    kv_usage: float | None
    in_flight: int
    """Requests of this host's workers that have not ended."""
    prefill_tokens_per_s: float | None
    itl_s: float | None
    cached_share: float | None
    """Of prompt tokens, those found in its cache: since the first look that was seen here, or since
    it was started while nothing has come since."""
    look_age_s: float | None
    warmth: float


class Board:
    """Hears everything. Times are of the monotonic clock."""

    def __init__(self, rules: Mapping[str, HealthRules] | None = None) -> None:
        """`rules`: those that the workers go by, for each pool."""
        self._watchdog = Watchdog(rules)
        self._flights = Flights()
        self._members = Members({})
        self._pools: dict[str, list[str]] = {}
        """Those of each endpoint."""
        self._looks: dict[str, Look] = {}
        self._first: dict[str, Load] = {}
        self._told: Sequence[Ailing] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every member has been looked at."""
        return bool(self._pools) and self._pools.keys() <= self._looks.keys()

    def hear(self, message: messages.Any, now_s: float) -> None:
        match message:
            case Members(pools):
                self._members, self._pools = message, {}
                for pool, members in pools.items():
                    for member in members:
                        self._pools.setdefault(member.endpoint, []).append(pool)
                self._watchdog.members(pools, now_s)
            case Looks(looks):
                for look in looks:
                    self._look(look, now_s)
            case Picked():
                self._flights.pick(message, now_s)
                self._watchdog.picked(message.pool, message.endpoint, now_s)
            case Ended():
                self._flights.end(message.key, now_s)
                self._watchdog.ended(message, now_s)
            case Running(key):
                self._flights.renew(key, now_s)
            case _:
                pass

    def hear_workers(self, told: Sequence[Ailing]) -> None:
        """Take what workers say of endpoints: they remember failures from before we listened."""
        self._told = told

    def _look(self, look: Look, now_s: float) -> None:
        before = self._looks.get(look.endpoint)
        if look.fault and before is not None:
            look = msgspec.structs.replace(look, load=before.load, rates=before.rates)
        self._looks[look.endpoint] = look
        first = self._first.get(look.endpoint)
        if not look.fault and (first is None or look.load.prompt_tokens < first.prompt_tokens):
            self._first[look.endpoint] = look.load
        self._flights.look(look.endpoint, look.at_s)
        for pool in self._pools.get(look.endpoint, ()):
            self._watchdog.look(pool, look, now_s)

    def rows(self, now_s: float, pool: str | None = None) -> Sequence[EndpointRow]:
        """Lay out all endpoints, or those of one pool."""
        self._flights.expire(now_s)
        found = list[EndpointRow]()
        for name, members in sorted(self._members.pools.items()):
            if pool in {None, name}:
                states = self._watchdog.states(name, now_s)
                found += [self._row(name, member, states, now_s) for member in members]
        return found

    def _row(self, pool: str, member: Member, states: States, now_s: float) -> EndpointRow:
        endpoint = member.endpoint
        look = self._looks.get(endpoint)
        load = NOTHING if look is None else look.load
        state, reasons = self._state(pool, endpoint, states, now_s)
        known = look is not None and (not look.fault or load != NOTHING)
        return EndpointRow(
            pool=pool,
            endpoint=endpoint,
            state=state,
            reasons=reasons,
            running=load.running if known else None,
            waiting=load.waiting if known else None,
            kv_usage=load.kv_usage if known else None,
            in_flight=self._flights.tally(endpoint).in_flight,
            prefill_tokens_per_s=look.rates.prefill_tokens_per_s if look else None,
            itl_s=look.rates.itl_s if look else None,
            cached_share=self._cached_share(endpoint, load),
            look_age_s=max(now_s - look.at_s, 0.0) if look else None,
            warmth=self._watchdog.warmth(pool, endpoint, now_s),
        )

    def _state(
        self, pool: str, endpoint: str, states: States, now_s: float
    ) -> tuple[str, tuple[str, ...]]:
        state, reasons = states.get(endpoint, READY)
        for told in self._told:
            theirs = told.get(pool, {}).get(endpoint)
            if theirs is not None:
                state = theirs[0] if state == "ready" else state
                reasons = tuple(dict.fromkeys((*reasons, *theirs[1])))
        look = self._looks.get(endpoint)
        is_old = look is None or now_s - look.at_s > STALE_S
        return ("stale" if state == "ready" and is_old else state), reasons

    def _cached_share(self, endpoint: str, load: Load) -> float | None:
        first = self._first.get(endpoint, NOTHING)
        since = load.prompt_tokens - first.prompt_tokens
        prompt = since or load.prompt_tokens
        cached = load.cached_tokens - (first.cached_tokens if since else 0.0)
        share = cached / prompt if prompt > 0 else None
        return share if share is None or isfinite(share) else None
