"""Means over seeds, and how sure they are."""

import math
from collections.abc import Sequence

import msgspec

T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""Student's t, two-sided at 95 %, for 1 to 20 degrees of freedom."""
NORMAL_95 = 1.96


class Interval(msgspec.Struct, frozen=True):
    """A mean over seeds with its 95 % confidence interval."""

    mean: float
    half: float
    """Half its width; infinite when there is one seed."""

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def interval(values: Sequence[float]) -> Interval:
    """Of values that are independent: one for each seed. At least one."""
    count = len(values)
    mean = sum(values) / count
    if count == 1:
        return Interval(mean, math.inf)
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    t = T_95[count - 2] if count - 2 < len(T_95) else NORMAL_95
    return Interval(mean, t * math.sqrt(variance / count))


def change(after: Sequence[float], before: Sequence[float]) -> Interval:
    """The ratio of two pickers on the same seeds, less 1: -0.2 is a fifth less.

    Of the logarithms, seed by seed: what makes a whole seed slow or quick cancels out. Every value
    is above 0. Its interval is not symmetric; what is given is the wider half.
    """
    logs = [math.log(a / b) for a, b in zip(after, before, strict=True)]
    found = interval(logs)
    mean = math.expm1(found.mean)
    return Interval(mean, math.inf if math.isinf(found.half) else math.expm1(found.high) - mean)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank, of a sorted list that is not empty: a value that was measured."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
