"""Least squares with no coefficient below zero: which physics explains what was measured."""

from collections.abc import Sequence
from math import fsum, sqrt

_ROUNDS = 20_000
_CLOSE = 1e-12


def fit(rows: Sequence[Sequence[float]], seen: Sequence[float]) -> list[float]:
    """The coefficients, none negative, that make every row's sum as close to what was seen as can be.

    Relative errors count, so that short times matter as much as long ones. By coordinate descent,
    which for so few unknowns needs no library.
    """
    rows = [[value / total for value in row] for row, total in zip(rows, seen, strict=True)]
    width = len(rows[0])
    gram = [[fsum(row[i] * row[j] for row in rows) for j in range(width)] for i in range(width)]
    target = [fsum(row[i] for row in rows) for i in range(width)]
    found = [0.0] * width
    for _ in range(_ROUNDS):
        change = 0.0
        for i in range(width):
            if gram[i][i] == 0:
                continue
            others = fsum(gram[i][j] * found[j] for j in range(width) if j != i)
            new = max((target[i] - others) / gram[i][i], 0.0)
            change = max(change, abs(new - found[i]) * sqrt(gram[i][i]))
            found[i] = new
        if change < _CLOSE:
            break
    return found


def predict(row: Sequence[float], coefficients: Sequence[float]) -> float:
    return fsum(value * factor for value, factor in zip(row, coefficients, strict=True))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: 1 for the same order, -1 for the opposite one."""
    return _correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    """From 0; equal values share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
            end += 1
        for place in order[at : end + 1]:
            ranks[place] = (at + end) / 2
        at = end + 1
    return ranks


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    mean_1, mean_2 = fsum(first) / len(first), fsum(second) / len(second)
    pairs = [(a - mean_1, b - mean_2) for a, b in zip(first, second, strict=True)]
    spread = sqrt(fsum(a * a for a, _ in pairs) * fsum(b * b for _, b in pairs))
    return fsum(a * b for a, b in pairs) / spread if spread else 0.0
