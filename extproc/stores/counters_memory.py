"""Counters of one process: `limits.base.Counters` in memory. One thread, so every method is one step.

For tests, for a gateway with a single worker, and for the time in which shared counters cannot be
reached.
"""

from collections.abc import Callable, Sequence

import msgspec

from extproc.limits.answers import make_standing, make_verdict
from extproc.limits.base import (
    Charge,
    Limit,
    Place,
    Settled,
    Settlement,
    Spent,
    Standing,
    Ticket,
    Unit,
    Verdict,
)
from extproc.limits.rate import SECOND_US
from extproc.limits.rules import KINDS, AnyRule, Rules, count
from extproc.limits.semaphore import Semaphore
from extproc.limits.state import Hold, State
from extproc.stores.counters_lives import EARLY_US, OPEN_US, SETTLED_US, lease_us, read_clock_us
from extproc.stores.expiring import Expiring
from extproc.stores.lines_memory import MemoryLines
from extproc.stores.offers_memory import Offer, join, make_offers, queue

SLACK_US = 60 * SECOND_US
"""How much longer than needed all is kept: by a clock that is set back it is needed again."""
MOST = 200_000
"""Scopes, open requests and settled ones, each. A scope takes 0.4 kB, 7 when it is a window with all of
its slots in use; an open request with one limit 0.5 kB."""


class Taken(msgspec.Struct, frozen=True):
    """What a request holds of one limit."""

    key: str
    unit: Unit
    discount: int
    rule: AnyRule
    hold: Hold


class Record(msgspec.Struct, frozen=True):
    """What is known of a request by its settle key."""

    expires_us: int
    taken: tuple[Taken, ...] = ()
    settled: bool = False
    early: Spent | bool = False
    """It was settled before it was reserved, by this; True: to give all back."""


class MemoryCounters:
    """Implements `Counters`."""

    def __init__(self, clock: Callable[[], int] | None = None, most: int = MOST) -> None:
        """`clock` tells microseconds since 1970."""
        self._clock = clock or read_clock_us
        self._rules = Rules()
        self._states: Expiring[State] = Expiring(most)
        self._open: Expiring[Record] = Expiring(most)
        self._settled: Expiring[Record] = Expiring(most)
        self._lines = MemoryLines()

    def __len__(self) -> int:
        """Scopes in which something is taken, and some that the hand has yet to sweep out."""
        return len(self._states)

    @property
    def forgotten(self) -> int:
        """What had to go before its time for lack of room."""
        return self._states.forgotten + self._open.forgotten + self._settled.forgotten

    def holds(self, settle_key: str) -> bool:
        """Say whether a request of this key was admitted here and is not settled yet."""
        return self._open.get(settle_key) is not None

    @property
    def waiting(self) -> int:
        """How many places are taken in lines."""
        return len(self._lines)

    def listen(self, hear: Callable[[Place], object]) -> None:
        self._lines.listen(hear)

    async def leave(self, places: Sequence[Place]) -> None:
        self._lines.leave(places)

    async def reserve(
        self,
        settle_key: str,
        charges: Sequence[Charge],
        lease_s: float,
        *,
        late: bool = False,
        ticket: Ticket | None = None,
    ) -> Verdict:
        now_us = self._clock()
        wanted = self._rules.of(charges)
        offers = make_offers(self._states, charges, wanted, now_us)
        record = self._find(settle_key, now_us)
        if record:
            settlement = self._make_up(settle_key, record, offers, now_us)
            offers = make_offers(self._states, charges, wanted, now_us, repeated=True)
            rows = [offer.row(now_us) for offer in offers]
            return make_verdict(charges, rows, admitted=True, repeated=True, settlement=settlement)
        if ticket and not late:
            offers = queue(self._lines, settle_key, offers, ticket, now_us)
        admitted = late or not any(offer.refuses for offer in offers)
        if admitted:
            offers = self._take(settle_key, offers, lease_s, now_us)
        rows = [offer.row(now_us) for offer in offers]
        waits = not admitted and ticket is not None and ticket.joins and join(self._lines, offers)
        return make_verdict(charges, rows, admitted=admitted, waits=waits)

    async def settle(
        self, settle_key: str, spent: Spent | None, *, forget: bool = False
    ) -> Settlement:
        now_us = self._clock()
        record = self._find(settle_key, now_us)
        if record is None and forget:
            return Settlement("unknown")
        if record is None:
            expires_us = now_us + EARLY_US
            record = Record(expires_us, settled=True, early=spent or True)
            self._open.drop(settle_key)
            self._settled.put(settle_key, record, expires_us + SLACK_US, now_us)
            return Settlement("unknown")
        if record.settled:
            return Settlement("repeated")
        settlement = self._close(settle_key, record.taken, spent, now_us)
        if forget:
            self._settled.drop(settle_key)
        return settlement

    async def renew(self, settle_key: str, lease_s: float) -> bool:
        now_us = self._clock()
        record = self._find(settle_key, now_us)
        if record is None or record.settled:
            return False
        until_us, kept = now_us + lease_us(lease_s), True
        for one in record.taken:
            if one.unit is Unit.CONCURRENT:
                state = one.rule.state(self._states.get(one.key), now_us)
                assert isinstance(state, Semaphore)
                renewed = state.renew(settle_key, until_us, now_us)
                kept = kept and renewed is not None
                self._put(one.key, renewed or state, now_us)
        return kept

    async def look(self, pairs: Sequence[tuple[Limit, str]]) -> tuple[Standing, ...]:
        now_us = self._clock()
        charges = [Charge(limit, scope, 1) for limit, scope in pairs]
        wanted = [self._rules.find(charge) for charge in charges]
        rows = [offer.row(now_us) for offer in make_offers(self._states, charges, wanted, now_us)]
        return tuple(map(make_standing, charges, rows))

    async def scopes(self, name: str) -> list[str]:
        now_us = self._clock()
        prefixes = tuple(f"{kind}:{name}:" for kind in KINDS)
        found: set[str] = set()
        for key in self._states:
            state = self._states.get(key)
            if key.startswith(prefixes) and state and is_taken(state, now_us):
                found.add(key.split(":", 2)[2])
        return sorted(found)

    async def reset(self, name: str, scope: str) -> bool:
        found = sum(self._states.drop(f"{kind}:{name}:{scope}") for kind in KINDS) > 0
        self._lines.call(f"{name}:{scope}")
        return found

    async def probe(self) -> None:
        """They always can."""

    def _find(self, settle_key: str, now_us: int) -> Record | None:
        for records in (self._open, self._settled):
            record = records.get(settle_key)
            if record and record.expires_us > now_us:
                return record
        return None

    def _put(self, key: str, state: State, now_us: int) -> int:
        """Returns when it will be the same as none."""
        gone_us = state.gone_us(now_us)
        if gone_us > now_us:
            self._states.put(key, state, gone_us + SLACK_US, now_us)
        else:
            self._states.drop(key)
        return gone_us

    def _take(
        self, settle_key: str, offers: Sequence[Offer], lease_s: float, now_us: int
    ) -> list[Offer]:
        """Take every offer but those of limits in shadow that would refuse. Returns them as they are
        then."""
        until_us = now_us + lease_us(lease_s)
        expires_us = now_us + OPEN_US
        taken: list[Taken] = []
        after: list[Offer] = []
        for offer in offers:
            if offer.wait_us and not offer.refuses:
                after.append(offer)
                continue
            limit, ready = offer.charge.limit, offer.ready
            hold = Hold(settle_key, offer.charge.amount, now_us, until_us, limit.strict)
            state, hold = offer.state.take(hold)
            expires_us = max(expires_us, self._put(offer.key, state, now_us))
            taken.append(Taken(offer.key, limit.unit, ready.discount, ready.rule, hold))
            after.append(Offer(offer.charge, ready, offer.key, state, 0))
            if offer.stand:
                # Only semaphores can tell without knowing what the next one wants.
                more = limit.unit is not Unit.CONCURRENT or state.look(now_us).remaining > 0
                self._lines.admit(offer.stand, now_us, more=more)
        record = Record(expires_us, tuple(taken))
        self._open.put(settle_key, record, expires_us + SLACK_US, now_us)
        return after

    def _close(
        self, settle_key: str, taken: Sequence[Taken], spent: Spent | None, now_us: int
    ) -> Settlement:
        limits: list[Settled] = []
        for one in taken:
            used = count(one.unit, one.discount, spent)
            state = self._states.get(one.key)
            if state is None or state.gone_us(now_us) <= now_us:
                state = one.rule.anew(now_us)
            crossed: tuple[int, ...] = ()
            if state:
                state, crossed = state.settle(one.hold, used, now_us)
                self._put(one.key, state, now_us)
            _, name, scope = one.key.split(":", 2)
            limits.append(Settled(name, scope, one.unit, one.hold.amount, used, crossed))
            self._lines.call(f"{name}:{scope}")
        expires_us = now_us + SETTLED_US
        self._open.drop(settle_key)
        record = Record(expires_us, settled=True)
        self._settled.put(settle_key, record, expires_us + SLACK_US, now_us)
        return Settlement("settled", tuple(limits))

    def _make_up(
        self, settle_key: str, record: Record, offers: Sequence[Offer], now_us: int
    ) -> Settlement | None:
        """The settlement was here first: take what was used, from all that still count it."""
        if not record.early:
            return None
        spent = record.early if isinstance(record.early, Spent) else None
        taken: list[Taken] = []
        for offer in offers:
            limit, ready = offer.charge.limit, offer.ready
            if limit.unit is Unit.CONCURRENT or (offer.wait_us and limit.shadow):
                continue
            state, hold = offer.state.take(Hold(settle_key, 0, now_us, now_us, limit.strict))
            self._put(offer.key, state, now_us)
            taken.append(Taken(offer.key, limit.unit, ready.discount, ready.rule, hold))
        return self._close(settle_key, taken, spent, now_us)


def is_taken(state: State, now_us: int) -> bool:
    """Say whether anything is. A semaphore outlives its leases for what it has learned."""
    if isinstance(state, Semaphore):
        return bool(state.live(now_us))
    return state.gone_us(now_us) > now_us
