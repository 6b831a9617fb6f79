"""Percentiles and medians, of lists that are never empty."""

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of all values do not exceed.

    A value that was measured, never one between two. `ordered` is sorted; `share` is 0 to 1.
    """
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the ratios of each round: what slows a whole round down cancels out."""
    return median([a / b for a, b in zip(above, below, strict=True)])


def median_added(above: Sequence[float], below: Sequence[float]) -> float:
    """Median of the differences of each round, for the same reason."""
    return median([a - b for a, b in zip(above, below, strict=True)])
