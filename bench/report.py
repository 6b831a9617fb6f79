"""Rows -> text for a terminal, Markdown for docs, JSON for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec

from bench.goals import Goal
from bench.results import ClosedRow, OpenRow, RatioRow, Results, StreamRow
from bench.variants import VARIANTS


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text; all columns but the first are right-aligned."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how it was measured."""

    cpus: int
    load_before: float
    """Load average of the minute before: above 0.3 or so, something else ran beside us."""
    load_after: float
    envoy: str
    python: str
    seconds: float


def tables(results: Results, goals: Sequence[Goal], setting: Setting) -> list[Table]:
    """Every table that has rows."""
    made = [
        closed_table(results.closed),
        ratio_table(results.ratios),
        open_table(results.open),
        stream_table(results.streams),
        goal_table(goals, setting),
    ]
    return [table for table in made if table.rows]


def closed_table(rows: Sequence[ClosedRow]) -> Table:
    processes = list(dict.fromkeys(process for row in rows for process in row.cpu_us))
    order = [p for p in ("envoy", "worker", "settle", "load") if p in processes]
    head = ("variant", "conns", "req/s", "p50 ms", "p95 ms", "p99 ms")
    cells = [
        [
            row.variant,
            str(row.connections),
            f"{row.requests_per_s:.0f}",
            *(ms(each) for each in (row.p50_us, row.p95_us, row.p99_us)),
            *(f"{row.cpu_us[p]:.0f}" if p in row.cpu_us else "-" for p in order),
            f"{row.total_us:.0f}",
            str(row.errors),
        ]
        for row in rows
    ]
    return Table(
        "Closed loop, 4 kB chats",
        (*head, *(f"{p} us" for p in order), "gateway us", "errors"),
        cells,
        f"Medians of {rounds_of(rows)} rounds in turns. us: CPU time for each request; gateway: Envoy, worker "
        "and settle together.",
    )


def ratio_table(rows: Sequence[RatioRow]) -> Table:
    cells = [[r.over, str(r.connections), f"{r.worker:.2f}", f"{r.total:.2f}"] for r in rows]
    return Table(
        "Headgate's CPU per request over another's",
        ("over", "conns", "worker", "worker + Envoy"),
        cells,
        "Medians of the ratios of each round.",
    )


def open_table(rows: Sequence[OpenRow]) -> Table:
    cells = [
        [
            row.variant,
            str(row.rate),
            *(ms(each) for each in (row.p50_us, row.p95_us, row.p99_us)),
            *(ms(each) for each in (row.added_p50_us, row.added_p95_us, row.added_p99_us)),
            str(row.errors),
        ]
        for row in rows
    ]
    head = ("variant", "req/s", "p50 ms", "p95 ms", "p99 ms")
    return Table(
        "Open loop: latency at a fixed rate",
        (*head, "added p50", "added p95", "added p99", "errors"),
        cells,
        f"From the moment a request was due. Added: above bare Envoy in the same round, in ms; "
        f"medians of {rounds_of(rows)} rounds.",
    )


def stream_table(rows: Sequence[StreamRow]) -> Table:
    cells = [
        [
            row.variant,
            str(row.events),
            f"{row.events_per_read:.2f}",
            f"{row.envoy_us:.1f}",
            "-" if row.worker_us is None else f"{row.worker_us:.1f}",
        ]
        for row in rows
    ]
    return Table(
        "Streams: CPU per event",
        ("variant", "events", "events/read", "envoy us", "worker us"),
        cells,
        "worker: above what it needs when idle.",
    )


def goal_table(goals: Sequence[Goal], setting: Setting) -> Table:
    cells = [[g.what, g.wanted, g.measured, "yes" if g.met else "NO"] for g in goals]
    return Table(
        "Goals",
        ("goal", "wanted", "measured", "met"),
        cells,
        f"{setting.cpus} CPUs, load average {setting.load_before:.1f} before and "
        f"{setting.load_after:.1f} after, Python {setting.python}, Envoy {setting.envoy}, "
        f"{setting.seconds:.0f} s in all.",
    )


def rounds_of(rows: Sequence[ClosedRow] | Sequence[OpenRow]) -> int:
    return max((row.rounds for row in rows), default=0)


def ms(us: float) -> str:
    return f"{us / 1000:.2f}"


def to_text(tables: Sequence[Table]) -> str:
    return "\n".join(text_of(table) for table in tables)


def text_of(table: Table) -> str:
    lines = [table.head, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.head))]
    laid = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "-" * max(len(line) for line in laid)
    return "\n".join([table.title, rule, laid[0], rule, *laid[1:], table.note, ""])


def to_markdown(tables: Sequence[Table]) -> str:
    return "\n".join(markdown_of(table) for table in tables)


def markdown_of(table: Table) -> str:
    rule = ["---", *("---:" for _ in table.head[1:])]
    lines = [f"| {' | '.join(line)} |" for line in (table.head, rule, *table.rows)]
    return "\n".join([f"### {table.title}", "", *lines, "", table.note, ""])


def to_json(results: Results, goals: Sequence[Goal], setting: Setting) -> bytes:
    whole = {
        "setting": asdict(setting),
        "variants": {variant.name: variant.title for variant in VARIANTS},
        "results": asdict(results),
        "goals": [asdict(goal) for goal in goals],
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"
