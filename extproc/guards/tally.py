"""Counting in batches: a flood of refusals costs the counters some calls a second, not one for each."""

import secrets
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from extproc.limits.base import Charge, Counters, Limit, Spent
from extproc.limits.rules import MOST_CHARGES

LEASE_S = 60.0
"""It is settled at once; only places in semaphores would need it."""

Pair = tuple[Limit, str]
"""A window, and whose."""


class Level(msgspec.Struct, frozen=True):
    """How a window stands with what was just added."""

    remaining: int
    """Below zero when it is exceeded."""
    shared: bool
    """False while the counters cannot be reached, and only this process's share is known."""


async def add_all(counters: Counters, amounts: Mapping[Pair, int]) -> dict[Pair, Level]:
    """Add to windows, whatever they hold, and say how they stand.

    Amounts that are equal go in one call, up to a hundred: a reservation is settled at one number, and
    settled it must be, or the counters would remember it for a day.

    Raises:
        CountersFaultError: No answer; some may have been added.
    """
    levels: dict[Pair, Level] = {}
    equal: dict[int, list[Pair]] = defaultdict(list)
    for pair, amount in amounts.items():
        equal[amount].append(pair)
    for amount, pairs in equal.items():
        for start in range(0, len(pairs), MOST_CHARGES):
            levels.update(await add(counters, pairs[start : start + MOST_CHARGES], amount))
    return levels


async def add(counters: Counters, pairs: list[Pair], amount: int) -> dict[Pair, Level]:
    key = f"guard-{secrets.token_hex(10)}"
    charges = [Charge(limit, subject, amount) for limit, subject in pairs]
    verdict = await counters.reserve(key, charges, LEASE_S, late=True)
    await counters.settle(key, Spent(prompt_tokens=amount), forget=True)
    shared = not verdict.degraded
    return {
        pair: Level(standing.remaining, shared)
        for pair, standing in zip(pairs, verdict.standings, strict=True)
    }
