"""What `headgate audit` has found, for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from audit.prove import Proof
from audit.search import Hit
from audit.verify import Verdict
from ledger.walk import Fault


def lay_out(hits: Sequence[Hit]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("time", "action", "actor", "tenant", "object", "outcome", "more"):
        table.add_column(heading, overflow="fold")
    for hit in hits:
        members = {"request": hit.request_id, **hit.members}
        more = ", ".join(f"{name} {value}" for name, value in members.items() if value != "")
        texts = (hit.action, hit.actor, hit.tenant, hit.object, hit.outcome, more)
        table.add_row(write_time(hit.at_ms), *map(plain, texts))
    return table


def plain(text: str) -> Text:
    """Names are whatever clients say: no markup, nothing that steers a terminal."""
    return Text("".join(each if each.isprintable() else "\ufffd" for each in text))


def tell(verdict: Verdict | Proof) -> str:
    """Say it in words, one line for each fault."""
    if isinstance(verdict, Proof):
        looked = f"{verdict.records:,} records in {verdict.files:,} files, {verdict.roots:,} roots"
        rest = f"; {verdict.first_seq} to {verdict.last_seq}, which is {verdict.head[:16]}"
    else:
        looked = f"{verdict.records:,} records, {verdict.roots:,} roots"
        unsigned, trimmed = verdict.unsigned, verdict.trimmed
        rest = f"; {trimmed:,} deleted by retention, as signed" if trimmed else ""
        rest += f"; {unsigned:,} records wait for the next root" if unsigned else ""
    if verdict.faults:
        return "\n".join([f"not as it was written ({looked}):", *map(tell_fault, verdict.faults)])
    return f"ok: {looked}{rest}"


def tell_fault(fault: Fault) -> str:
    places = [
        None if fault.root is None else f"root {fault.root}",
        None if fault.seq is None else f"record {fault.seq}",
        fault.settle_key and f"({fault.settle_key})",
    ]
    return f"  {' '.join(place for place in places if place) or 'audit'}: {fault.what}"


def write_time(ms: int) -> str:
    time = datetime.fromtimestamp(ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
