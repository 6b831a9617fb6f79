"""Slices of an answer: reserved one by one while it is watched, given back together when it has ended.

Each has a settle key of its own, the stream's with a number behind it. So whoever settles, in whatever
process, finds them by counting up.
"""

from collections.abc import Sequence
from itertools import count

import msgspec

from extproc.limits.amounts import Estimate
from extproc.limits.base import Charge, Counters
from extproc.limits.stop import SLICE_TOKENS


class Slices:
    """Those of one stream, in order."""

    def __init__(self, counters: Counters, settle_key: str, lease_s: float) -> None:
        self._counters = counters
        self._settle_key = settle_key
        self._lease_s = lease_s
        self._count = 0

    async def reserve(self, watched: Sequence[Charge], estimate: Estimate, tokens: int) -> str:
        """Reserve so many tokens more of what was charged at the beginning; return the name of the limit
        that refuses, or nothing."""
        more = msgspec.structs.replace(
            estimate,
            prompt_tokens=0,
            longest_prompt_tokens=0,
            expected_tokens=tokens,
            most_tokens=tokens,
        )
        charges = [Charge(c.limit, c.scope, more.amount(c.limit)) for c in watched]
        verdict = await self._counters.reserve(self._next(), charges, self._lease_s)
        if verdict.admitted:
            return ""
        return next((one.limit.name for one in verdict.blocking), "unavailable")

    async def give_back(self, tokens: int) -> None:
        """Give back as many slices as so many tokens took, and go on while there are more. Where the
        counters were away for a while, one may be unknown yet, and those behind it are not."""
        likely = tokens // SLICE_TOKENS + 2 if tokens else 1
        for number in count(1):
            settlement = await self._counters.settle(self._next(), None)
            if number >= likely and settlement.state not in {"settled", "repeated"}:
                return

    def _next(self) -> str:
        self._count += 1
        return f"{self._settle_key}+{self._count}"
