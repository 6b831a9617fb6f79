"""The commands of `headgate`: which there are, and where each is."""

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Annotated

import typer

COMMANDS = {
    "up": "start:up",
    "epp": "epp:epp",
    "keys": "keys:app",
    "policy": "policy:app",
    "policy replay": "replay:replay",
    "limits": "limits:app",
    "budget": "limits:budget",
    "guards": "guards:app",
    "cache": "cache:app",
    "usage": "usage:usage",
    "endpoints": "endpoints:endpoints",
    "explain": "explain:explain",
    "reconcile": "reconcile:reconcile",
    "audit": "audit:app",
    "scan": "scan:scan",
    "ledger": "ledger:app",
    "ledger trim": "ledger_retention:trim",
    "ledger erase": "ledger_retention:erase",
    "ledger backup": "ledger_backup:backup",
    "ledger restore": "ledger_backup:restore",
    "ledger drill": "ledger_backup:drill",
}
"""What is typed, and the name in a module beside this one: a function, or a group of them."""


def find(words: Sequence[str]) -> Sequence[str]:
    """Choose what has to be imported for these words: everything only for who asks what there is.
    Importing all takes three quarters of a second."""
    for length in (2, 1):
        said = " ".join(words[:length])
        if said in COMMANDS:
            return [name for name in COMMANDS if name == said or name.startswith(f"{said} ")]
    return list(COMMANDS)


def build(names: Sequence[str]) -> typer.Typer:
    """Put a program together from these commands."""
    root = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    root.callback()(headgate)
    groups: dict[str, typer.Typer] = {"": root}
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(f"extproc.cli.{module}"), attribute)
        above, _, last = name.rpartition(" ")
        if isinstance(found, typer.Typer):
            groups[name] = found
            root.add_typer(found, name=name)
        else:
            open_group(groups, above).command(last)(found)
    return root


def open_group(groups: dict[str, typer.Typer], name: str) -> typer.Typer:
    """Find a group, or open it for the one command of it that was asked for."""
    if name not in groups:
        groups[name] = typer.Typer()
        groups[name].callback()(lambda: None)
        groups[""].add_typer(groups[name], name=name)
    return groups[name]


def tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"headgate {version('headgate')}")
        raise typer.Exit


def headgate(
    version: Annotated[
        bool,
        typer.Option("--version", callback=tell_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """Headgate: an LLM inference gateway for many tenants, on Envoy."""
