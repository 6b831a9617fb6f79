"""What `headgate up` tells the person in front of it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape

from extproc.cli.layout import Layout


class Screen:
    """Progress and the final page. Colour only on a terminal; `rich` sees to that."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._console = Console(file=output, highlight=False, soft_wrap=True)

    def step(self, text: str) -> None:
        self._console.print(f"[dim]..[/dim] {text}")

    def page(self, text: str) -> None:
        self._console.print(text)


@dataclass(frozen=True, slots=True)
class Ready:
    """What the final page shows."""

    command: str
    """How to call `headgate` again, as it was called."""
    base_url: str
    metrics_url: str
    model: str
    demo: bool
    """The demo policy is in force, so its keys may be shown."""
    layout: Layout
    elsewhere: bool
    """The ledger is not in the state directory. Its URL is not shown: a password may stand in it."""
    policy: tuple[Path, ...]
    engines: str
    silent: Sequence[str] = ()
    """What does not answer, in a line for each."""


def page(ready: Ready) -> str:
    """Lay out the page: what to type next comes first."""
    key = "sk-headgate-acme" if ready.demo else "YOUR_KEY"
    keys = (
        "  sk-headgate-acme    tenant acme, project support\n  sk-headgate-globex  tenant globex\n"
        if ready.demo
        else "  as in your policy\n"
    )
    ledger = " --ledger YOUR_LEDGER" if ready.elsewhere else ""
    policy = "\n".join(f"  policy   {path}" for path in ready.policy)
    silent = "".join(f"[yellow]{escape(line)}[/yellow]\n" for line in ready.silent)
    return f"""
[bold green]Headgate is ready.[/bold green]  {ready.base_url}
{silent}
[bold]Keys[/bold]
{keys}
[bold]Try it[/bold]
  curl {ready.base_url}/chat/completions \\
    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\
    -d '{{"model": "{ready.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

[bold]Or with the OpenAI SDK[/bold]
  from openai import OpenAI
  client = OpenAI(base_url="{ready.base_url}", api_key="{key}")
  print(client.chat.completions.create(
      model="{ready.model}", messages=[{{"role": "user", "content": "Hello"}}]).choices[0].message.content)

[bold]Who used what[/bold]
  {ready.command} usage --by tenant,model --state {ready.layout.root}{ledger}
  curl {ready.base_url.removesuffix("/v1")}/headgate/v1/usage -H 'Authorization: Bearer {key}'

[bold]Where things are[/bold]
  engines  {ready.engines}
  metrics  {ready.metrics_url}
  logs     {ready.layout.log}
{policy}

Ctrl-C drains and stops everything.
"""
