"""While the shared counters cannot be reached: what each limit's `on_fault` makes of it, and the counting that this
process does alone."""

from collections.abc import Sequence

import msgspec

from extproc.limits.base import (
    LARGEST,
    Algorithm,
    Charge,
    Counters,
    Limit,
    Standing,
    Ticket,
    Verdict,
)
from extproc.limits.rate import SECOND_US, make_rate
from extproc.limits.rules import LONGEST_S

RETRY_S = 1.0
"""What clients are told to wait when it is only the outage that refuses them: they are tried again
every half a second."""
BUCKETS = frozenset({Algorithm.TOKEN_BUCKET, Algorithm.LEAKY_BUCKET})
SHARES = 10_000
"""Limits of which their share is remembered; then all are worked out anew."""


class Alone:
    """Decides without the shared counters, as each limit wants it."""

    def __init__(self, local: Counters, replicas: int) -> None:
        """`replicas` share each limit; `local` counts the share of this one."""
        self._local = local
        self._replicas = replicas
        self._shares: dict[Limit, Limit] = {}

    async def reserve(
        self,
        settle_key: str,
        charges: Sequence[Charge],
        lease_s: float,
        late: bool,
        ticket: Ticket | None,
    ) -> Verdict:
        if not late and any(is_denied(charge) for charge in charges):
            standings = tuple(map(deny, charges))
            return Verdict(False, standings, RETRY_S, degraded="deny")
        local = [charge for charge in charges if charge.limit.on_fault == "local"]
        if not local:
            return Verdict(True, tuple(map(let_pass, charges)), degraded="open")
        shares = [Charge(self._share(one.limit), one.scope, one.amount) for one in local]
        verdict = await self._local.reserve(settle_key, shares, lease_s, late=late, ticket=ticket)
        judged = iter(verdict.standings)
        standings = tuple(
            restore(charge, next(judged)) if charge.limit.on_fault == "local" else let_pass(charge)
            for charge in charges
        )
        return msgspec.structs.replace(
            verdict, standings=standings, retry_after_s=longest_wait(standings), degraded="local"
        )

    def _share(self, limit: Limit) -> Limit:
        share = self._shares.get(limit)
        if share is None:
            if len(self._shares) >= SHARES:
                self._shares.clear()
            share = self._shares[limit] = find_share(limit, self._replicas)
        return share


def find_share(limit: Limit, replicas: int) -> Limit:
    """The part of a limit that one process may use up: at least one of whatever it counts."""
    amount = max(1, limit.amount // replicas)
    burst = limit.burst and max(1, limit.burst // replicas)
    if limit.algorithm in BUCKETS:
        amount, burst = fit(amount, limit.period_s, burst)
    return msgspec.structs.replace(limit, amount=amount, burst=burst)


def fit(amount: int, period_s: int, burst: int) -> tuple[int, int]:
    """Make a bucket's share one that can be counted: where it must be, by a whole number for each
    second, and with no larger a burst than drains in the longest time."""
    try:
        rate = make_rate(amount, period_s)
    except ValueError:
        amount = min(amount // period_s, LARGEST // 8) * period_s
        rate = make_rate(amount, period_s)
    return amount, min(burst, rate.count(LONGEST_S * SECOND_US))


def is_denied(charge: Charge) -> bool:
    return charge.limit.on_fault == "deny" and not charge.limit.shadow


def deny(charge: Charge) -> Standing:
    blocking = is_denied(charge)
    wait_s = RETRY_S if blocking else 0.0
    return Standing(charge.limit, charge.scope, 0, RETRY_S, blocking, wait_s)


def let_pass(charge: Charge) -> Standing:
    """Nobody knows what is left."""
    return Standing(charge.limit, charge.scope, charge.limit.amount, 0.0)


def restore(charge: Charge, standing: Standing) -> Standing:
    """Put the limit back in place of the share. What only the share is too small for may be tried
    again after the outage."""
    wait_s = standing.retry_after_s
    if wait_s is None and charge.amount <= (charge.limit.burst or charge.limit.amount):
        wait_s = RETRY_S
    return msgspec.structs.replace(standing, limit=charge.limit, retry_after_s=wait_s)


def longest_wait(standings: Sequence[Standing]) -> float | None:
    waits = [one.retry_after_s for one in standings if one.blocking and not one.limit.shadow]
    return None if None in waits else max((wait or 0.0 for wait in waits), default=0.0)
