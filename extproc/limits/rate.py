"""So many for each second, counted in whole numbers: nothing is lost or won by rounding.

A rate is a reduced fraction of ticks. The same sums are done in Lua, in doubles, so every product has
to stay below 2**53; that is what the choice of the tick is for.
"""

from math import gcd

import msgspec

from extproc.limits.base import LARGEST

SECOND_US = 1_000_000
TICKS_US = (1, 10, 100, 1_000, 10_000, 100_000, SECOND_US)
"""What drains within one tick does so at its end. The finest that can be counted exactly is taken:
a microsecond for all but the oddest of large amounts over long periods."""


class Rate(msgspec.Struct, frozen=True):
    """`amount` in every `ticks` of `tick_us` microseconds, in lowest terms."""

    amount: int
    ticks: int
    tick_us: int

    def count(self, elapsed_us: int) -> int:
        """Whole units in a time, rounded down."""
        periods, rest = divmod(elapsed_us // self.tick_us, self.ticks)
        return periods * self.amount + rest * self.amount // self.ticks

    def count_up(self, elapsed_us: int) -> int:
        """Whole units in a time, rounded up."""
        periods, rest = divmod(-(-elapsed_us // self.tick_us), self.ticks)
        return periods * self.amount - (-rest * self.amount // self.ticks)

    def time_us(self, amount: int) -> int:
        """Least time in which so many units come; no more than 2**53."""
        periods, rest = divmod(amount, self.amount)
        ticks = periods * self.ticks - (-rest * self.ticks // self.amount)
        return min(ticks * self.tick_us, LARGEST)


def make_rate(amount: int, period_s: int) -> Rate:
    """Raises: ValueError when it cannot be counted exactly."""
    period_us = period_s * SECOND_US
    for tick_us in TICKS_US:
        common = gcd(amount, period_us // tick_us)
        rate = Rate(amount // common, period_us // tick_us // common, tick_us)
        if rate.amount * rate.ticks < LARGEST // 4:  # a few may be added up
            return rate
    raise ValueError(f"{amount} per {period_s} s cannot be counted exactly: pick a rounder number")
