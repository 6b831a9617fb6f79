"""From sums to the rows of an answer: the greatest first, the others together, no holes. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ledger.figures import Figures, figures_of
from ledger.question import Order, Question, UsageError
from ledger.rollup import SUMS, Tally, merge_histogram

Group = tuple[str | None, ...]
"""Values of the dimensions that are not time; None is unknown."""
Cell = tuple[int, Group | None]
"""Number of a step, and a group in it; None is all the others."""
Cells = Mapping[Cell, Tally]

MAX_CELLS = 200_000
"""Most rows with `fill`: what nobody can look at is a slip."""

_REQUESTS = SUMS.index("requests")
_ORDERS: Mapping[Order, Sequence[int]] = {
    "tokens": [SUMS.index(name) for name in ("prompt_tokens", "completion_tokens")],
    "cost": [SUMS.index(name) for name in ("uncached_pusd", "cached_pusd", "completion_pusd")],
    "requests": [_REQUESTS],
}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The sums of one group, in one step if time is asked for."""

    group: Group
    """One value for each in `by`, time among them; but for time, None where it is the others."""
    figures: Figures
    before: Figures | None = None
    """With `compare`: of the period before, or of the step at the same place in it."""
    other: bool = False
    """Whether this is all groups that are not among the top."""


def rows(
    question: Question, names: Sequence[str], now: Cells, before: Cells | None
) -> list[UsageRow]:
    """Tell the cells of an answer, and with `compare` those of the period before.

    `names` are those of the steps, if time is asked for. Raises UsageError when there are too many.
    """
    ranked = rank(question.order, now, before or {})
    shown = ranked[: question.top]
    others = frozenset(ranked[len(shown) :])
    now = cut(now, others)
    then = None if before is None else cut(before, others)
    places: dict[Group | None, int] = {group: place for place, group in enumerate(shown)}
    if others:
        places[None] = len(shown)
    cells: Iterable[Cell] = now.keys() | (then or {}).keys()
    if question.fill and question.step:
        if len(names) * len(places) > (question.most or MAX_CELLS):
            raise UsageError("that makes too many rows; ask for the top 10, or for longer steps")
        cells = product(range(len(names)), places)
    return [
        UsageRow(
            _place_time(question, cell, names),
            _figures(now, cell),
            None if then is None else _figures(then, cell),
            other=cell[1] is None,
        )
        for cell in sorted(cells, key=lambda cell: (cell[0], places[cell[1]]))
        if not question.step or cell[0] < len(names)
    ]


def rank(order: Order, now: Cells, before: Cells) -> list[Group]:
    """List all groups, the greatest over all steps first, those that are only `before` behind them."""
    sums: dict[Group, tuple[int, int]] = {}
    for (_, group), tally in now.items():
        assert group is not None
        most, requests = sums.get(group, (0, 0))
        most += sum(tally.sums[place] for place in _ORDERS[order])
        sums[group] = most, requests + tally.sums[_REQUESTS]
    gone = {group for _, group in before if group is not None} - sums.keys()
    by_name = sorted(sums, key=_in_words)
    return [
        *sorted(by_name, key=lambda group: sums[group], reverse=True),
        *sorted(gone, key=_in_words),
    ]


def cut(cells: Cells, others: Collection[Group]) -> dict[Cell, Tally]:
    """Put all cells of `others` together, step by step."""
    kept: dict[Cell, Tally] = {}
    for (step, group), tally in cells.items():
        if group not in others:
            kept[step, group] = tally
        else:
            merge(kept.setdefault((step, None), Tally()), tally)
    return kept


def merge(tally: Tally, other: Tally) -> None:
    """Add `other` to `tally`."""
    tally.sums = [ours + theirs for ours, theirs in zip(tally.sums, other.sums, strict=True)]
    merge_histogram(tally.ttft, other.ttft)


def _figures(cells: Cells, cell: Cell) -> Figures:
    tally = cells.get(cell)
    return Figures() if tally is None else figures_of(tally)


def _place_time(question: Question, cell: Cell, names: Sequence[str]) -> Group:
    """Put the name of the step where `by` has it."""
    step, group = cell
    values = iter(group or (None,) * len(question.dimensions))
    return tuple(names[step] if name == question.step else next(values) for name in question.by)


def _in_words(group: Group) -> tuple[str, ...]:
    """Sort key: by name, the unknown last."""
    return tuple("\U0010ffff" if value is None else value for value in group)
