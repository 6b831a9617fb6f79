"""Figures for tests, in round numbers."""

from study.measure import Figures
from study.plan import Spec
from study.store import Line


def figures(p95_s=1.0, hit_ratio=0.5, mean_s=0.5, tokens_per_s=1000.0):
    return Figures(
        100, mean_s, p95_s / 2, p95_s, 2 * p95_s, 0.05, 0.08, 0.9, 9.0, tokens_per_s, 10.0,
        hit_ratio, 1.1, 0, 0.0,
    )  # fmt: skip


def lines(case, picker, load, p95s, spec=None, **more):
    """One run for each p95, on seeds that follow each other."""
    found = {}
    for seed, p95_s in enumerate(p95s, 1001):
        key = Spec(case, picker, load, seed, **(spec or {}))
        found[key] = Line("code", key, figures(p95_s, **more), 1.0)
    return found
