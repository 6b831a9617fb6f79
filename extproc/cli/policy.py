"""`headgate policy`: check, show, schema, diff, status."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn, cast

import typer

from extproc.cli.layout import Layout
from extproc.counting.vocabulary import Vocabularies
from extproc.errors import PolicyError
from extproc.policy.diff import Change, compare
from extproc.policy.flaws import flaws_of
from extproc.policy.load import load
from extproc.policy.models import Policy
from extproc.policy.schema import as_json, policy_schema
from extproc.policy.show import as_yaml, show
from extproc.policy.status import OnDisk, Status, read_disk, read_statuses

app = typer.Typer(help="Policy directories.", no_args_is_help=True)

Directories = Annotated[list[Path], typer.Argument(help="Directories, joined in this order.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Side = Annotated[Path, typer.Argument(help="A directory, or several joined by a colon.")]

COLOURS = {
    "added": typer.colors.GREEN,
    "removed": typer.colors.RED,
    "changed": typer.colors.YELLOW,
}


@app.command("check")
def check(directories: Directories, as_json: AsJson = False) -> None:
    """Load a policy and say what is wrong with it, all at once. Exit code 0 or 1."""
    try:
        policy = load(directories, vocabularies=Vocabularies())
    except PolicyError as exc:
        mistakes = [flaw.document() for flaw in flaws_of(exc)]
        if as_json:
            print_json({"ok": False, "mistakes": mistakes})
            raise typer.Exit(1) from None
        leave(str(exc), 1)
    if as_json:
        print_json({"ok": True, "version": policy.version, "mistakes": []})
    else:
        typer.echo(f"ok: version {policy.version}{count_sections(policy)}")


def count_sections(policy: Policy) -> str:
    """`, 2 tenants, 3 keys`: every list that has something in it."""
    sections = {name: cast("object", getattr(policy, name)) for name in Policy.model_fields}
    lists = {n: cast("tuple[object, ...]", s) for n, s in sections.items() if isinstance(s, tuple)}
    return "".join(f", {len(entries)} {name}" for name, entries in lists.items() if entries)


@app.command("show")
def show_policy(directories: Directories, as_json: AsJson = False) -> None:
    """Print a policy as the gateway understands it: joined, defaults filled in, no secrets."""
    try:
        tree = show(load(directories))
    except PolicyError as exc:
        leave(str(exc), 1)
    if as_json:
        print_json(tree)
    else:
        typer.echo(as_yaml(tree), nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    typer.echo(as_json(policy_schema()), nl=False)


@app.command("diff")
def diff(old: Side, new: Side, as_json: AsJson = False) -> None:
    """Say what differs between two policies. Exit code 0: nothing, 1: something, 2: one does not load."""
    try:
        before, after = (load(split(side)) for side in (old, new))
    except PolicyError as exc:
        leave(str(exc), 2)
    changes = compare(before, after)
    if as_json:
        documents = [change.document() for change in changes]
        print_json({"old": before.version, "new": after.version, "changes": documents})
    else:
        for change in changes:
            print_change(change)
    raise typer.Exit(int(bool(changes)))


def split(side: Path) -> Sequence[Path]:
    return [Path(directory) for directory in str(side).split(os.pathsep)]


def print_change(change: Change) -> None:
    typer.secho(str(change), fg=COLOURS[change.kind] if sys.stdout.isatty() else None)


@app.command("status")
def status(
    state: Annotated[Path, typer.Option("--state", help="The state directory.")] = Path(
        ".headgate"
    ),
    as_json: AsJson = False,
) -> None:
    """Say which version each worker serves, and what became of the files on disk.

    Exit code 0: what is on disk is in force everywhere, 1: it is not, 2: no worker runs there.
    """
    statuses = read_statuses(Layout(state).run)
    if not statuses:
        leave(f"no worker runs in {state}", 2)
    disk = read_disk(statuses[0].directories)
    in_force = [each for each in statuses if disk.judge(each) == "in force"]
    if as_json:
        print_json(status_document(statuses, disk))
    else:
        typer.echo("\n".join(status_lines(statuses, disk)))
    raise typer.Exit(int(len(in_force) < len(statuses)))


def status_document(statuses: Sequence[Status], disk: OnDisk) -> dict[str, object]:
    workers: list[dict[str, object]] = []
    for each in statuses:
        rejected = each.rejected
        last = rejected and {
            "at": iso(rejected.at_s),
            "version": rejected.version or None,
            "mended": each.is_mended,
            "mistakes": [flaw.document() for flaw in rejected.flaws],
        }
        workers.append(
            {
                "worker": each.worker,
                "pid": each.pid,
                "version": each.version,
                "since": iso(each.since_s),
                "on_disk_is": disk.judge(each),
                "last_rejected": last,
            }
        )
    return {
        "directories": list(statuses[0].directories),
        "on_disk": disk.version or None,
        "complaint": disk.complaint or None,
        "workers": workers,
    }


def status_lines(statuses: Sequence[Status], disk: OnDisk) -> Sequence[str]:
    lines = [f"on disk   {disk.version or disk.complaint}"]
    for each in statuses:
        serves = f"serves {each.version} since {iso(each.since_s)}"
        lines.append(f"{each.worker}  pid {each.pid}  {serves}; on disk: {disk.judge(each)}")
    told: set[str] = set()
    for each in statuses:  # workers mostly agree: each rejected version is told once
        rejected = each.rejected
        if rejected is None or rejected.version in told:
            continue
        told.add(rejected.version)
        mended = ", mended since" if each.is_mended else ""
        version = f"version {rejected.version}" if rejected.version else "unreadable files"
        lines.append(f"last rejected: {version} at {iso(rejected.at_s)}{mended}")
        lines += [f"  {flaw}" for flaw in rejected.flaws]
    return lines


def iso(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def print_json(document: object) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def leave(message: str, code: int) -> NoReturn:
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(code)
