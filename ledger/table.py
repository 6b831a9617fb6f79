"""An answer as a table for people: on a terminal, or in plain text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from ledger.figures import PUSD, Figures
from ledger.ranking import UsageRow
from ledger.records import change, write_time
from ledger.usage import Answer

_WIDEST = 10_000
_SMALLEST = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers."""

    heading: str
    write: Callable[[UsageRow], str]
    adds_up: bool = True


def write_table(answer: Answer, out: TextIO) -> None:
    """Draw a table, in plain text when `out` is no terminal. No number is ever cut short: what is
    wider than the terminal wraps."""
    if not answer.rows:
        since, until = (write_time(time) for time in (answer.since, answer.until))
        out.write(f"no requests between {since} and {until}\n")
        return
    terminal = out.isatty()
    table = Table(box=box.SIMPLE_HEAD if terminal else None, pad_edge=False, show_footer=True)
    total = UsageRow((), answer.total, answer.before)
    for place, name in enumerate(answer.question.by):
        table.add_column(name, footer="" if place else "total", overflow="fold")
    columns = _columns(answer)
    for column in columns:
        footer = column.write(total) if column.adds_up else ""
        table.add_column(column.heading, footer=footer, justify="right", no_wrap=True)
    for row in answer.rows:
        table.add_row(*_group(row), *(column.write(row) for column in columns))
    width = Console(file=out, width=_WIDEST).measure(table).maximum
    if terminal:
        width = max(width, Console(file=out).width)
    Console(file=out, width=width, markup=False, highlight=False).print(table, crop=False)


def _columns(answer: Answer) -> Sequence[Column]:
    """Choose what there is anything to say of."""
    total = answer.total
    columns = [
        _count("requests", lambda each: each.requests),
        _count("prompt", lambda each: each.prompt_tokens),
        _count("completion", lambda each: each.completion_tokens),
        _count("cached", lambda each: each.cached_tokens),
        _count("denied", lambda each: each.denied),
        _count("unsettled", lambda each: each.unsettled),
    ]
    if total.cost_pusd:
        columns.append(_money("cost USD", lambda each: each.cost_pusd))
    if total.cost_pusd and total.unpriced:
        columns.append(_count("unpriced", lambda each: each.unpriced))
    if total.gpu_us:
        columns.append(Column("GPU h", lambda row: _scaled(row.figures.gpu_us, 3_600_000_000)))
    if total.energy_mj:
        columns.append(Column("kWh", lambda row: _scaled(row.figures.energy_mj, 3_600_000_000)))
    if total.own_pusd:
        columns.append(_money("own USD", lambda each: each.own_pusd))
    columns.append(Column("TTFT p50", lambda row: _ms(row.figures.ttft_p50_us), adds_up=False))
    columns.append(Column("p95 (ms)", lambda row: _ms(row.figures.ttft_p95_us), adds_up=False))
    if answer.question.compare:
        columns.append(_change("requests +/-", lambda each: each.requests))
        columns.append(_change("tokens +/-", lambda each: each.tokens))
        if total.cost_pusd:
            columns.append(_change("cost +/-", lambda each: each.cost_pusd))
    return columns


def _count(heading: str, read: Callable[[Figures], int]) -> Column:
    return Column(heading, lambda row: f"{read(row.figures):,}")


def _money(heading: str, read: Callable[[Figures], int]) -> Column:
    return Column(heading, lambda row: _usd(read(row.figures)))


def _change(heading: str, read: Callable[[Figures], int]) -> Column:
    def write(row: UsageRow) -> str:
        part = None if row.before is None else change(read(row.figures), read(row.before))
        return "new" if part is None else f"{part:+.1%}"

    return Column(heading, write)


def _usd(pusd: int) -> str:
    """Round to the millionth of a dollar, which is as much as anybody reads; at least to the cent."""
    dollars = Decimal(pusd).scaleb(-PUSD)
    if 0 < abs(dollars) < _SMALLEST:
        return "<0.000001"
    whole, _, digits = f"{dollars.quantize(_SMALLEST):,f}".partition(".")
    return f"{whole}.{digits.rstrip('0'):0<2}"


def _scaled(amount: int, by: int) -> str:
    return f"{amount / by:,.3f}"


def _ms(us: int | None) -> str:
    return "-" if us is None else f"{us / 1000:,.1f}"


def _group(row: UsageRow) -> Sequence[str]:
    unknown = "(others)" if row.other else "-"
    return [unknown if value is None else _readable(value) for value in row.group]


def _readable(text: str) -> str:
    """Leave nothing that a terminal would obey: groups are what an issuer of a tenant's calls them."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
