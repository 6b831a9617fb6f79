"""`headgate keys`: new, list, rotate, revoke. Keys live in a policy's files, as digests."""

import json
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from extproc.cli.auditing import recording
from extproc.cli.keyfiles import NEW_FILE, changing, is_entry, keys_in, with_digest
from extproc.errors import PolicyError
from extproc.identity.keys import digest, mint
from extproc.policy import keyfile
from extproc.policy.flaws import FlawedPolicyError, explain_all, place_flaw
from extproc.policy.identities import KeyPolicy
from extproc.policy.keyfile import EditError
from extproc.policy.load import join, load
from extproc.policy.models import Policy

app = typer.Typer(help="API keys.", no_args_is_help=True)

UNSALTED: str = Policy.model_fields["salt"].default
"""The salt of policies that name none."""
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)
SHOWN_DIGITS = 12
"""Of a digest: enough to tell keys apart, too few to be of any use."""

KeyId = Annotated[str, typer.Argument(help="Id of the key, shown in logs and the ledger.")]
PolicyFlag = Annotated[
    list[Path], typer.Option("--policy", help="Directory of policy files; repeatable.")
]

StateFlag = Annotated[
    Path, typer.Option("--state", help="State directory, where it is recorded who did it.")
]
DEFAULT_STATE = Path(".headgate")


@app.command("new")
def new(
    name: KeyId,
    tenant: Annotated[str, typer.Option(help="The tenant it belongs to.")],
    project: Annotated[str | None, typer.Option(help="The project it is bound to.")] = None,
    user: Annotated[str | None, typer.Option(help="Who is billed within the project.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group; repeatable.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model it may use; repeatable. Default: all.")
    ] = None,
    cidr: Annotated[
        list[str] | None, typer.Option(help="Where it may come from; repeatable.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="90d, 12h, or a time with a zone.")] = None,
    salt: Annotated[
        str | None,
        typer.Option(help="The `salt` of the policy it is for. Default: of one that names none."),
    ] = None,
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", help="Add it there, under its salt.")
    ] = None,
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Make a key: the key itself goes to stderr, its policy entry to the policy, or to stdout."""
    entry: dict[str, object] = {"id": name, "digest": "", "tenant": tenant}
    optional = {"project": project, "user": user, "groups": group, "models": model, "cidrs": cidr}
    entry.update({member: value for member, value in optional.items() if value})
    with refusing(), changing(policy) if policy else nullcontext() as files:
        if files and salt is not None:
            raise EditError("leave --salt out: with --policy it is the policy's own")
        if expires:
            entry["expires"] = read_moment(expires)
        key = mint()
        entry["digest"] = digest(files.policy.salt if files else salt_of(salt), key)
        if files:
            path = files.file_for_new()
            meant = [*keys_in(path), *keyfile.edited(keyfile.append("", entry))]
            with recording(state) as record:
                files.change(path, lambda text: keyfile.append(text, entry), meant)
                record.tell("key.added", name, tenant)
            typer.echo(f"added to {path}")
        else:
            print_entry(entry, salt)
    show_once(key)


@app.command("list")
def list_keys(
    policy: PolicyFlag,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the keys of a policy, and which of them count now."""
    with refusing():
        keys = load(policy).keys
    rows = [describe(key, datetime.now(UTC)) for key in keys]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    columns = ("id", "tenant", "project", "user", "groups", "models", "state", "until", "digest")
    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(as_text(row[column]) for column in columns))
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide, highlight=False).print(table if rows else "no keys")


@app.command("rotate")
def rotate(
    name: KeyId,
    policy: PolicyFlag,
    overlap: Annotated[str, typer.Option(help="How long the old key goes on: 7d, 12h.")] = "7d",
    state: StateFlag = DEFAULT_STATE,
) -> None:
    """Give an id a new key. The old one counts for the overlap, then no more."""
    with refusing(), changing(policy) as files:
        old, path = files.key(name)
        until = datetime.now(UTC).replace(microsecond=0) + read_span(overlap)
        key = mint()
        new_digest = digest(files.policy.salt, key)
        retired = {"digest": old.digest, "until": until}
        meant = [with_digest(each, name, new_digest, retired) for each in keys_in(path)]
        with recording(state) as record:
            files.change(path, lambda text: keyfile.rotate(text, name, new_digest, until), meant)
            record.tell("key.rotated", name, old.tenant, old_until=keyfile.moment(until))
        typer.echo(f"changed in {path}; the old key counts until {keyfile.moment(until)}")
    show_once(key)


@app.command("revoke")
def revoke(name: KeyId, policy: PolicyFlag, state: StateFlag = DEFAULT_STATE) -> None:
    """Take a key out of the policy, with all its older digests. Workers notice within a second."""
    with refusing(), changing(policy) as files:
        key, path = files.key(name)
        meant = [each for each in keys_in(path) if not is_entry(each, name)]
        with recording(state) as record:
            files.change(path, lambda text: keyfile.remove(text, name), meant)
            record.tell("key.revoked", name, key.tenant)
        typer.echo(f"removed from {path}")


def salt_of(salt: str | None) -> str:
    return UNSALTED if salt is None else salt


def print_entry(entry: dict[str, object], salt: str | None) -> None:
    """Raises: PolicyError."""
    text = keyfile.append("", entry)
    check(text, salt_of(salt))
    typer.echo(text, nl=False)
    if salt is None:
        typer.echo(
            "It is for policies without a `salt`: for others, give theirs by --salt.", err=True
        )


def check(text: str, salt: str) -> None:
    """See that a policy of this salt would take an entry, whatever else is in there. Raises: PolicyError."""
    document, spots = join({Path(NEW_FILE): text.encode()})
    try:
        Policy.model_validate({**document, "salt": salt})
    except ValidationError as exc:
        wrong = explain_all(exc.errors(), Policy, spots)
        raise FlawedPolicyError([place_flaw(place, wrong[place], {}) for place in wrong]) from None


def describe(key: KeyPolicy, now: datetime) -> dict[str, object]:
    """Say what there is to know of a key, but for its digests."""
    retiring = [old.until for old in key.retiring if old.until > now]
    if key.expires and key.expires <= now:
        state = "expired"
    else:
        state = "retiring" if retiring else "active"
    until = max(retiring) if state == "retiring" else key.expires
    return {
        "id": key.id,
        "tenant": key.tenant,
        "project": key.project,
        "user": key.user,
        "groups": list(key.groups),
        "models": list(key.models),
        "cidrs": [str(network) for network in key.cidrs],
        "state": state,
        "until": keyfile.moment(until) if until else None,
        "digest": f"{key.digest[:SHOWN_DIGITS]}...",
    }


def as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in cast("list[object]", value))
    return str(value or "")


def read_span(text: str) -> timedelta:
    """Read `7d`, `12h`. Raises: EditError."""
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    if not found:
        raise EditError(f"{text!r} is no span of time: write 12h, 7d or 4w")
    span = timedelta(**{UNITS[found[2]]: int(found[1])})
    if not timedelta() < span <= LONGEST:
        raise EditError(f"{text!r} is not between a minute and a hundred years")
    return span


def read_moment(text: str) -> datetime:
    """Read a span from now, or a time with its zone. Raises: EditError."""
    if re.fullmatch(r"[0-9]+[a-z]", text):
        return datetime.now(UTC).replace(microsecond=0) + read_span(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EditError(f"{text!r} is no time: write 90d or 2030-01-31T00:00:00Z") from None
    if moment.tzinfo is None:
        raise EditError(f"{text!r} has no zone: write 2030-01-31T00:00:00Z")
    return moment.astimezone(UTC).replace(microsecond=0)


def show_once(key: str) -> None:
    typer.echo(f"The key, shown this once: {key}", err=True)


@contextmanager
def refusing() -> Generator[None]:
    """Turn what is wrong into a line on stderr and exit code 1."""
    try:
        yield
    except (EditError, PolicyError, OSError, UnicodeDecodeError) as exc:
        typer.secho(str(exc), err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
        raise typer.Exit(1) from None
