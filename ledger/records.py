"""Rows of an answer as programs want them: named cells, exact. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime

from ledger.figures import Figures
from ledger.files import Column, Kind, Value, write_value
from ledger.question import Question
from ledger.ranking import UsageRow

Cell = str | int | float | bool | None
"""Money is text: most who read JSON make floating point of its numbers."""
Record = Mapping[str, Cell]

FIGURES: Mapping[Column, Callable[[Figures], Value]] = {
    Column("requests", "count"): lambda each: each.requests,
    Column("prompt_tokens", "count"): lambda each: each.prompt_tokens,
    Column("completion_tokens", "count"): lambda each: each.completion_tokens,
    Column("cached_tokens", "count"): lambda each: each.cached_tokens,
    Column("denied", "count"): lambda each: each.denied,
    Column("unsettled", "count"): lambda each: each.unsettled,
    Column("estimated", "count"): lambda each: each.estimated,
    Column("cut", "count"): lambda each: each.cut,
    Column("unpriced", "count"): lambda each: each.unpriced,
    Column("cost_usd", "usd"): lambda each: each.cost_pusd,
    Column("uncached_usd", "usd"): lambda each: each.uncached_pusd,
    Column("cached_usd", "usd"): lambda each: each.cached_pusd,
    Column("completion_usd", "usd"): lambda each: each.completion_pusd,
    Column("gpu_s", "real"): lambda each: each.gpu_us / 1_000_000,
    Column("energy_j", "real"): lambda each: each.energy_mj / 1000,
    Column("own_usd", "usd"): lambda each: each.own_pusd,
    Column("ttft_p50_ms", "real"): lambda each: _ms(each.ttft_p50_us),
    Column("ttft_p95_ms", "real"): lambda each: _ms(each.ttft_p95_us),
}
"""What is told of a group."""

COMPARED = ("requests", "prompt_tokens", "completion_tokens", "cost_usd")
"""What is told of the period before, as `before_requests` and so on."""

_BEFORE = {
    Column(f"before_{column.name}", column.kind): read
    for column, read in FIGURES.items()
    if column.name in COMPARED
}


def columns(question: Question) -> list[Column]:
    """Name the cells of a row, in their order."""
    return [
        *(Column(name, "text") for name in question.by),
        *([Column("other", "flag")] if question.top else []),
        *FIGURES,
        *(_BEFORE if question.compare else []),
    ]


def cells(question: Question, row: UsageRow) -> list[Value]:
    before = row.before
    return [
        *row.group,
        *([row.other] if question.top else []),
        *(read(row.figures) for read in FIGURES.values()),
        *([] if before is None else [read(before) for read in _BEFORE.values()]),
    ]


def record(question: Question, row: UsageRow) -> Record:
    """Name the cells of a row, with changes behind them."""
    named = zip(columns(question), cells(question, row), strict=True)
    return {
        **{column.name: _plain(column.kind, value) for column, value in named},
        **_changes(row.figures, row.before),
    }


def total(figures: Figures, before: Figures | None) -> Record:
    """Name the cells of all groups together, with changes behind them."""
    named = {column: read(figures) for column, read in FIGURES.items()}
    if before is not None:
        named |= {column: read(before) for column, read in _BEFORE.items()}
    return {
        **{column.name: _plain(column.kind, value) for column, value in named.items()},
        **_changes(figures, before),
    }


def change(now: int, before: int) -> float | None:
    """Tell by which part something grew; None when there was nothing before."""
    return (now - before) / before if before else None


def write_time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds").replace("+00:00", "Z")


def _changes(now: Figures, before: Figures | None) -> Record:
    if before is None:
        return {}
    return {
        "change_requests": change(now.requests, before.requests),
        "change_tokens": change(now.tokens, before.tokens),
        "change_cost": change(now.cost_pusd, before.cost_pusd),
    }


def _plain(kind: Kind, value: Value) -> Cell:
    if isinstance(value, str | int | float) and kind != "usd":
        return value
    return None if value is None else write_value(kind, value)


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
