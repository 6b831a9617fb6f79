"""`headgate explain`: why a request went where it went, and what became of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from extproc.cli.layout import Layout
from extproc.routing.reason import explain as say_why
from extproc.routing.record import DecisionRecord, Weighed
from extproc.stores.decisions import DIRECTORY, find_decisions
from ledger.database import open_database
from ledger.lookup import look_up
from ledger.row import Row
from ledger.store import LedgerError

DEFAULT_STATE = Path(".headgate")
AT_ONCE = 4
"""Candidates side by side: a terminal of 80 columns has room for so many."""

Wanted = Annotated[
    str,
    typer.Argument(metavar="ID", help="`x-headgate-decision-id` or `x-request-id` of an answer."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Top = Annotated[int, typer.Option(min=1, help="So many candidates, the best ones.")]
LedgerFlag = Annotated[
    str | None,
    typer.Option("--ledger", help="Path or database URL. Default: ledger.sqlite in --state."),
]
StateFlag = Annotated[Path, typer.Option("--state", help="State directory of the gateway.")]


def explain(
    wanted: Wanted,
    top: Top = 8,
    as_json: AsJson = False,
    ledger: LedgerFlag = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Say why a request went where it went, and what became of it."""
    try:
        found = find_decisions(state / DIRECTORY, wanted)
    except OSError as exc:
        leave(f"the decision records cannot be read: {exc}")
    row = find_row(found[-1].id if found else wanted, ledger or Layout(state).ledger)
    if not found:
        leave(say_missing(wanted, row))
    record = found[-1]
    if as_json:
        document = {"decision": record, "outcome": row}
        typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
        return
    if len(found) > 1:
        typer.echo(f"{len(found)} requests came under this id; this is the last of them.\n")
    show(record, row, top, Console())


def find_row(settle_key: str, where: str | Path) -> Row | None:
    """Find the ledger's row; None as long as there is none, or no ledger that can be read."""
    try:
        database = open_database(where)
    except LedgerError:
        return None
    try:
        return look_up(database, settle_key)
    except LedgerError:
        return None
    finally:
        database.close()


def say_missing(wanted: str, row: Row | None) -> str:
    if row is not None:
        went = f"It went to {row.endpoint} and got {row.status}." if row.endpoint else ""
        return (
            f"{wanted}: there is no record of this decision: it was not asked for and not drawn, or "
            f"newer ones have pushed it out. {went}".rstrip()
        )
    return (
        f"{wanted}: no record, and no such decision in the ledger. Records are kept of requests that "
        "send `x-headgate-explain: true` for a tenant that `explain` in the policy names, or are "
        "drawn by its `sample`."
    )


def show(record: DecisionRecord, row: Row | None, most: int, console: Console) -> None:
    console.print(f"[bold]{escape(record.id)}[/bold]  request {plain(record.request_id)}")
    console.print(
        f"{record.operation} for tenant {record.tenant}: model {record.model}, track {record.track}, "
        f"pool {record.pool}; policy {record.policy}; record {record.why}",
        highlight=False,
    )
    cached = f", {record.cached_tokens} expected in its cache" if record.cached_tokens else ""
    waited = f"; waited {record.queued_ms} ms for room" if record.queued_ms else ""
    console.print(
        f"{record.prompt_tokens} prompt tokens{cached}; {record.picker} took {record.pick_us} us"
        f"{waited}",
        highlight=False,
    )
    for start in range(0, min(len(record.candidates), most), AT_ONCE):
        console.print(lay_out(record, record.candidates[start : min(start + AT_ONCE, most)]))
    if (missing := record.candidates_count - min(len(record.candidates), most)) > 0:
        console.print(f"and {missing} more that cost more", highlight=False)
    for each in record.left_out:
        why = ", ".join(each.reasons) or "did not answer its probes"
        console.print(
            f"not a candidate: {each.endpoint} ({each.condition}: {why})",
            highlight=False,
            markup=False,
        )
    console.print(say_why(record), highlight=False, markup=False)
    console.print(say_outcome(record, row), highlight=False, markup=False)


def plain(text: str) -> str:
    """What a client says: no markup, nothing that steers a terminal."""
    return escape("".join(each if each.isprintable() else "\ufffd" for each in text))


def lay_out(record: DecisionRecord, candidates: Sequence[Weighed]) -> Table:
    """One column for each of them: there are more figures than candidates that matter."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for each in candidates:
        table.add_column(escape(each.endpoint), justify="right", overflow="fold")
    table.add_row("", *(say_place(record, each.endpoint) for each in candidates))
    if any(each.role for each in record.candidates):
        table.add_row("role", *(each.role or "both" for each in candidates))
    table.add_row("cost", *(f"{each.cost:.4g}" for each in candidates))
    names = dict.fromkeys(name for each in record.candidates for name in each.terms)
    for name in names:
        terms = (f"{each.terms[name]:.4g}" if name in each.terms else "" for each in candidates)
        table.add_row(f"  {name}", *terms, style="dim")
    for name, values in zip(FIGURES, zip(*map(figures, candidates), strict=True), strict=True):
        table.add_row(name, *map(escape, values))
    return table


def say_place(record: DecisionRecord, endpoint: str) -> str:
    """The rest of the list is where retries go."""
    if endpoint == record.prefiller:
        return "[green]prompt[/]"
    if endpoint not in record.chosen:
        return ""
    number = record.chosen.index(endpoint)
    return f"retry {number}" if number else "[bold green]chosen[/]"


FIGURES = (
    *("running", "waiting", "KV %", "in flight", "unseen", "cached blocks", "prefill tok/s"),
    *("look age s", "warm %", "state"),
)


def figures(each: Weighed) -> tuple[str, ...]:
    state = each.condition.replace("_", "-") or "ready"
    rate = each.prefill_tokens_per_s
    return (
        str(each.running),
        str(each.waiting),
        f"{100 * each.kv_usage:.0f}",
        str(each.in_flight),
        str(each.unseen),
        str(each.matched_blocks),
        "-" if rate is None else f"{rate:.0f}",
        "never" if each.look_age_s is None else f"{each.look_age_s:.2f}",
        f"{100 * each.warmth:.0f}",
        f"{state} ({', '.join(each.reasons)})" if each.reasons else state,
    )


def say_outcome(record: DecisionRecord, row: Row | None) -> str:
    """Say what became of it, and how near the prediction was."""
    if row is None:
        return "The ledger has no row of it yet: it still runs, or ended a moment ago."
    if row.unsettled:
        return "Its end was never seen; the ledger calls it unsettled."
    status = "the client left before an answer" if row.status == 0 else f"status {row.status}"
    parts = [f"It went to {row.endpoint or 'no endpoint'}: {status}"]
    if row.attempts and row.attempts > 1:
        parts.append(f"{row.attempts} attempts")
    if row.ttft_us is not None:
        predicted = record.predicted_s
        guess = "" if predicted is None else f" (predicted {1000 * predicted:.0f} ms)"
        parts.append(f"first token after {row.ttft_us / 1000:.0f} ms{guess}")
    if row.prompt_tokens is not None:
        cached = "" if row.cached_tokens is None else f", {row.cached_tokens} of them cached"
        parts.append(f"{row.prompt_tokens} prompt tokens{cached}")
    if row.completion_tokens is not None:
        parts.append(f"{row.completion_tokens} completion tokens")
    return "; ".join(parts) + "."


def leave(message: str) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
