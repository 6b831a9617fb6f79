"""Answers to questions: who used how much of what, and when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from ledger import steps
from ledger.figures import Figures, figures_of
from ledger.question import Question
from ledger.ranking import Cell, Cells, Group, UsageRow, merge, rows
from ledger.rollup import Tally
from ledger.spans import Span, known_span, split
from ledger.tables import CHAIN, QUARTER_MS
from ledger.totals import Wanted, add_up
from ledger.where import stored


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found."""

    question: Question
    since: datetime | None
    """As asked, but at a quarter of an hour where single entries are kept no longer."""
    until: datetime | None
    rows: Sequence[UsageRow]
    """By step, in a step the greatest first, the others last."""
    total: Figures
    """Over all groups. A request in several of dimension `group` is here once."""
    before: Figures | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What the ledger says about one period."""

    cells: Cells
    total: Tally
    begins: Sequence[int]
    """Of steps; none when time is not asked for, and when there is nothing."""


def ask(connection: Connection, question: Question) -> Answer:
    """Answer from one state of the ledger. Raises UsageError when that would be too long."""
    span = _span(connection, question)
    found = _find(connection, question, span)
    before = _find(connection, question, _span_before(span)) if question.compare else None
    step, zone = question.step, question.zone
    names = [] if step is None else [steps.write(step, begin, zone) for begin in found.begins]
    since, until = (None if ms is None else steps.from_ms(ms, zone) for ms in span)
    return Answer(
        question,
        since,
        until,
        rows(question, names, found.cells, None if before is None else before.cells),
        figures_of(found.total),
        None if before is None else figures_of(before.total),
    )


def _span(connection: Connection, question: Question) -> Span:
    """Tell the period in milliseconds, widened to whole quarters where entries are gone."""
    since, until = (
        None if time is None else steps.to_ms(time) for time in (question.since, question.until)
    )
    complete_ms = connection.execute(select(func.max(CHAIN.c.begin_ms))).scalar_one() or 0
    _, rest = split((since, until))
    if all(begin is None or begin >= complete_ms for begin, _ in rest):
        return since, until
    return (
        None if since is None else since - since % QUARTER_MS,
        None if until is None else until + -until % QUARTER_MS,
    )


def _span_before(span: Span) -> Span:
    since, until = span
    assert since is not None
    assert until is not None
    return since - (until - since), since


def _find(connection: Connection, question: Question, span: Span) -> _Found:
    begins = _begins(connection, question, span)
    names = [stored(name) for name in question.dimensions]
    stretches = steps.stretches(begins) if begins else ()
    total, cells = Tally(), dict[Cell, Tally]()
    wanted = Wanted(names, question.where, span, stretches, question.most)
    for (step, values), tally in add_up(connection, wanted).items():
        if any(tally.sums):
            merge(total, tally)
            for group in _groups(question, values):
                merge(cells.setdefault((step, group), Tally()), tally)
            wanted.check(cells)  # a request counts in each group of its user
    return _Found(cells, total, begins)


def _begins(connection: Connection, question: Question, span: Span) -> Sequence[int]:
    if question.step is None:
        return ()
    since, until = span
    if since is None or until is None:
        known = known_span(connection)
        if known is None:
            return ()
        since = known[0] if since is None else since
        until = known[1] if until is None else until
    return steps.begins(question.step, since, until, question.zone)


def _groups(question: Question, values: Sequence[str | int | None]) -> Iterable[Group]:
    """Write values as texts, once for each of a row's groups if `group` is asked for."""
    texts = tuple(None if value is None else str(value) for value in values)
    if "group" not in question.dimensions:
        return (texts,)
    place = question.dimensions.index("group")
    groups = (texts[place] or "").split(",")
    return [(*texts[:place], group or None, *texts[place + 1 :]) for group in groups]
