"""Slow start: an endpoint that is new, or back, gets its share little by little.

Its caches are empty, its kernels perhaps not compiled, and all pickers see at the same moment that it
has nothing to do.
"""

import msgspec


class WarmthRules(msgspec.Struct, frozen=True):
    least: float = 0.1
    """Share of its share that it begins with: above 0, at most 1."""
    over_s: float = 30.0
    """Until it gets all of it; 0 is at once."""


def warmth(age_s: float, rules: WarmthRules) -> float:
    """Say how warm it is at that age: from `least` up to 1, in a straight line."""
    age_s = max(age_s, 0.0)
    if age_s >= rules.over_s:
        return 1.0
    return min(rules.least + (1.0 - rules.least) * age_s / rules.over_s, 1.0)
