"""What `headgate reconcile` prints: for people, and for programs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from ledger.lookbook import read_latest, read_since
from ledger.looks import Look
from ledger.reconcile import Finding, compare
from ledger.trail import spans

NOTHING = (
    "No engine has been compared with the ledger yet. The gateway's settle process does so: the "
    "first figures are there two intervals after its start (ledger.reconcile_interval_s)."
)
_COLUMNS = ("engine", "ledger", "in flight", "n > 1", "aborts", "retries", "unknown", "drift")


def find(connection: Connection, since_ms: int | None) -> Sequence[Finding]:
    """Compare since then, or since each engine's counters began."""
    if since_ms is None:
        latest = read_latest(connection)
        return [compare(Look.first(look.era), look) for _, look in sorted(latest.items())]
    looks = read_since(connection, since_ms)
    return [compare(*span) for _, each in sorted(looks.items()) for span in spans(each, since_ms)]


def is_right(findings: Iterable[Finding]) -> bool:
    """Whether everything is accounted for."""
    return not any(each.drift_tokens or each.unknown_tokens for each in findings)


def as_text(findings: Sequence[Finding]) -> str:
    """A table for each engine, and a sentence on what does not add up."""
    if not findings:
        return NOTHING
    return "\n".join([*map(_table, findings), *_sentences(findings)])


def _table(finding: Finding) -> str:
    rows: list[tuple[str, ...]] = [("tokens", *_COLUMNS)]
    for kind, split in (("prompt", finding.prompt), ("completion", finding.completion)):
        numbers = (
            *(split.engine, split.ledger, split.in_flight),
            *(split.choices, split.aborts, split.retries, split.unknown, split.drift),
        )
        rows.append((kind, *(f"{number:,}" for number in numbers)))
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    times = f"{_time(finding.since_ms)} to {_time(finding.at_ms)} UTC"
    title = f"{finding.endpoint}, pool {finding.pool}, {times}, {finding.requests:,} requests"
    return "\n".join([title, *lines, ""])


def as_json(findings: Sequence[Finding]) -> str:
    documents = [{**msgspec.structs.asdict(each), "unattributed": each.causes} for each in findings]
    document: Mapping[str, object] = {"ok": is_right(findings), "endpoints": documents}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _sentences(findings: Sequence[Finding]) -> Iterable[str]:
    if is_right(findings):
        yield "Every token is accounted for."
    for each in findings:
        if each.unknown_tokens:
            yield f"{each.endpoint} counted {each.unknown_tokens:,} tokens that nobody is billed for."
        if each.drift_tokens:
            yield f"{each.endpoint} never counted {each.drift_tokens:,} tokens that are booked."
        if each.lost_tokens:
            yield (
                f"{each.endpoint}: {each.lost_tokens:,} tokens were booked for an earlier run of the "
                "engine, after the last look at its counters: nothing to compare them with."
            )


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"
