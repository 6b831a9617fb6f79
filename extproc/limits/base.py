"""What a limit is, what is asked of it, and the port to whatever keeps count.

Reserve before, settle after: a reservation takes an estimate from every limit that applies or from
none; settling it puts the truth in its place. Both are known by the *settle key*, which is minted
once for each request, so both may be repeated: the second time changes nothing.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

LARGEST = 2**53
"""No amount is larger. Lua counts in doubles, which are exact up to here: nine million US dollars in
nano-dollars."""
LONGEST_LEASE_S = 3600
"""Nobody holds a place in a semaphore for longer without renewing it."""


class Algorithm(StrEnum):
    """How a limit counts."""

    TOKEN_BUCKET = "token_bucket"  # noqa: S105 - tokens of a bucket, no secret
    SLIDING_WINDOW = "sliding_window"
    LEAKY_BUCKET = "leaky_bucket"
    SEMAPHORE = "semaphore"
    BUDGET = "budget"


class Unit(StrEnum):
    """What a limit counts."""

    TOKENS = "tokens"
    """Of prompt and completion together."""
    PROMPT_TOKENS = "prompt_tokens"
    COMPLETION_TOKENS = "completion_tokens"
    REQUESTS = "requests"
    CONCURRENT = "concurrent"
    """Requests that run now; of semaphores only."""
    USD = "usd"
    """In nano-dollars: 1e-9 US dollars."""


class Calendar(StrEnum):
    """The period of a budget. Weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


OnFault = Literal["local", "deny", "open"]
"""While the counters cannot be reached: count in this process against the limit's share, refuse, or
let everything pass."""


class Limit(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """One limit of the policy. `rules.compile_limit` says whether it makes sense."""

    name: str
    """Unique in a policy, and part of the key under which it is counted."""
    algorithm: Algorithm
    unit: Unit
    amount: int
    """Per period, or at once. Nano-dollars when the unit is USD."""
    period_s: int = 0
    """Of buckets and windows."""
    calendar: Calendar | None = None
    """Of budgets."""
    zone: str = "UTC"
    """IANA name: where the days of a budget begin and end."""
    burst: int = 0
    """How much a bucket holds when it is not the amount of one period."""
    strict: bool = False
    """Never over the limit in any stretch of time, as long as no reservation turns out too small.
    A bucket that is not strict gives back in full what was not used, also when its place has been
    refilled meanwhile: right over time, but a burst may be larger than the bucket by as much."""
    shadow: bool = False
    """Counts and tells what it would refuse, but refuses nothing. It counts as if it did: what it
    would have refused takes nothing from it."""
    on_fault: OnFault = "local"
    alerts: tuple[int, ...] = ()
    """Percent of a budget, such as 50, 80, 100: passing one is told once in each period."""
    of_tenants: bool = False
    """Its scopes begin with a tenant, so it can be counted where that tenant's others are."""
    cached_weight: float = 1.0
    """What a prompt token counts that the engine found in its cache: 0 to 1, in thousandths."""
    wait_s: float = 0.0
    """How long a request may wait for room in it instead of being refused; 0: there is no line."""


class Charge(msgspec.Struct, frozen=True):
    """What one request is to take from one limit."""

    limit: Limit
    scope: str
    """Whose count it is: "acme/alice". Empty for a limit on everybody."""
    amount: int
    """To reserve, in the limit's unit. 1 for requests and for what runs at once."""


class Ticket(msgspec.Struct, frozen=True):
    """What a request shows that minds the lines before limits, and may stand in them."""

    worker: str
    """Who is called when its turn may have come."""
    priority: str
    """Its class: each has turns by its weight."""
    weight: int
    tenant: str
    """Within a class, tenants have turns by what they ask for."""
    joins: bool = True
    """Take a place in line when there is no room. Without it one is only told how long it would take."""


class Place(msgspec.Struct, frozen=True):
    """Where a request stands in a line."""

    line: str
    """Name and scope of the limit: "slots:acme"."""
    priority: str
    settle_key: str
    worker: str
    cost: int
    """What it asks of the limit, 1 at least."""
    tenant: str


class Spent(msgspec.Struct, frozen=True):
    """What a request has really used."""

    prompt_tokens: int = 0
    """With the cached ones."""
    cached_tokens: int = 0
    completion_tokens: int = 0
    nano_usd: int = 0


class Standing(msgspec.Struct, frozen=True):
    """How one limit stands for one scope. After a reservation that was admitted: with it."""

    limit: Limit
    scope: str
    remaining: int
    """Below zero when estimates were too small."""
    reset_s: float
    """Until nothing is taken any more if nothing happens; for a budget until its period ends; for a
    semaphore the usual time in it."""
    blocking: bool = False
    """It refuses, or would if it were not in shadow."""
    retry_after_s: float | None = 0.0
    """Until the same reservation fits if nothing happens; None: never, it is larger than the limit.
    For a semaphore a guess from how long its places are usually held."""


class Settled(msgspec.Struct, frozen=True):
    """What settling did to one limit."""

    name: str
    scope: str
    unit: Unit
    reserved: int
    used: int
    crossed: tuple[int, ...] = ()
    """Alert levels, in percent, that this very settlement has passed. Nobody else is told."""

    @property
    def refunded(self) -> int:
        """Reserved and not used."""
        return max(0, self.reserved - self.used)

    @property
    def overshoot(self) -> int:
        """Used and not reserved."""
        return max(0, self.used - self.reserved)


class Settlement(msgspec.Struct, frozen=True):
    """The answer to a settlement."""

    state: Literal["settled", "repeated", "unknown", "queued"]
    """`repeated`: it had been settled before. `unknown`: no such reservation; should it still come, it
    will be settled by this. `queued`: the counters cannot be reached; it will be sent later."""
    limits: tuple[Settled, ...] = ()
    """Of those that the request took from, in the order of its charges."""


class Verdict(msgspec.Struct, frozen=True):
    """The answer to a reservation: all or nothing."""

    admitted: bool
    standings: tuple[Standing, ...]
    """One for each charge, in their order."""
    retry_after_s: float | None = 0.0
    """The longest of those that refuse; None when one of them will never admit this."""
    repeated: bool = False
    """This key has been admitted before; nothing more was taken. The standings are those of now."""
    degraded: OnFault | Literal[""] = ""
    """The counters could not be reached, and this is how the verdict came about."""
    settlement: Settlement | None = None
    """The request had been settled before this reservation arrived: that has been made up for now."""
    waits: bool = False
    """Refused for now; it stands in line, and its worker will be called."""

    @property
    def blocking(self) -> tuple[Standing, ...]:
        """Those that refuse."""
        return tuple(one for one in self.standings if one.blocking and not one.limit.shadow)

    @property
    def shadowed(self) -> tuple[Standing, ...]:
        """Those that would refuse, were they not in shadow."""
        return tuple(one for one in self.standings if one.blocking and one.limit.shadow)


class Counters(Protocol):
    """Whatever keeps count. Every method may raise CountersFaultError; what was asked for may have
    been done all the same, and the same call with the same key is safe."""

    async def reserve(
        self,
        settle_key: str,
        charges: Sequence[Charge],
        lease_s: float,
        *,
        late: bool = False,
        ticket: Ticket | None = None,
    ) -> Verdict:
        """Take every charge, or none of them, in one step. A refusal leaves no trace.

        Places in semaphores fall free after `lease_s` unless renewed; everything else stays taken
        until it is settled. `late` is for what was admitted elsewhere: it is taken, fit or not.

        With a ticket, nobody passes whom others wait before: a limit with a line has room only for
        the first in it. Who joins stands in the lines of all limits that refuse it, if each of them
        has one, and the standings tell how long it will probably take. Without a ticket, as for more
        of what has begun, lines do not matter.

        Raises:
            ValueError: Two charges are for the same limit and scope, or an amount is below zero.
        """
        ...

    async def settle(
        self, settle_key: str, spent: Spent | None, *, forget: bool = False
    ) -> Settlement:
        """Put the truth in place of the reservation; None gives all of it back. `forget` leaves
        nothing behind by which the key would be known, so that it may be used again."""
        ...

    async def renew(self, settle_key: str, lease_s: float) -> bool:
        """Hold places in semaphores for longer. False when they were lost, or all is settled."""
        ...

    async def look(self, pairs: Sequence[tuple[Limit, str]]) -> tuple[Standing, ...]:
        """How limits stand for scopes now. Takes nothing."""
        ...

    async def scopes(self, name: str) -> list[str]:
        """Who has something taken from the limit of that name, in order. Slow: for people."""
        ...

    async def reset(self, name: str, scope: str) -> bool:
        """Forget what is taken. False when nothing was known."""
        ...

    async def probe(self) -> None:
        """See whether they can count: a server may be full, and yet answer and forget."""
        ...

    async def leave(self, places: Sequence[Place]) -> None:
        """Give up places in lines. Unknown ones do not matter."""
        ...

    def listen(self, hear: Callable[[Place], object]) -> None:
        """Tell who is to be called: `hear` gets the place of a request that came first or for which
        there may be room. It is to reserve again then, and to leave if it is not there any more."""
        ...


def find_places(settle_key: str, charges: Sequence[Charge], ticket: Ticket) -> tuple[Place, ...]:
    """Name the places that a request may have."""
    return tuple(
        Place(
            f"{one.limit.name}:{one.scope}",
            ticket.priority,
            settle_key,
            ticket.worker,
            max(1, one.amount),
            ticket.tenant,
        )
        for one in charges
        if has_line(one.limit)
    )


def has_line(limit: Limit) -> bool:
    """Say whether requests may wait for room in it."""
    return limit.wait_s > 0 and not limit.shadow
