"""`headgate up`: its flags; what it does is in `up.py`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from dataplane.gateway import ConfigError
from extproc.cli.children import ChildError
from extproc.cli.layout import Layout
from extproc.cli.plan import Typed, make_plan
from extproc.cli.preflight import UpError, claimed
from extproc.cli.reachable import find_silent
from extproc.cli.screen import Ready, Screen, page
from extproc.cli.up import Up
from extproc.errors import PolicyError
from extproc.settings import SettingsError
from telemetry.logs import start_logging

DEFAULT_STATE = Path(".headgate")

StateFlag = Annotated[Path, typer.Option("--state", help="Sockets, logs, journal and ledger.")]
RedisFlag = Annotated[
    list[str] | None,
    typer.Option(
        envvar="HEADGATE_REDIS",
        help="URL of your Redis or Valkey, for limits. Default: one of its own is started. "
        "Several: the first for what concerns everybody, tenants are spread over the others.",
    ),
]
LedgerFlag = Annotated[
    str | None,
    typer.Option(help="Path or database URL of the ledger. Default: ledger.sqlite in --state."),
]
ProxiesFlag = Annotated[
    int,
    typer.Option(min=0, max=10, help="Proxies before this gateway that tell clients' addresses."),
]
SidecarsFlag = Annotated[
    bool, typer.Option(help="Start the services beside the gateway: the usage API.")
]


def up(
    policy: Annotated[
        Path | None, typer.Option(help="Directory of policy files. Default: a demo policy.")
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(help="URL of a running vLLM; repeatable. Default: two built-in engines."),
    ] = None,
    vllm: Annotated[
        bool,
        typer.Option("--vllm", help="Install and start a real vLLM on CPU, with a tiny model."),
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="ext_proc worker processes.")] = 2,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where clients connect.")] = 8080,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535, help="Prometheus.")] = 9090,
    address: Annotated[str, typer.Option(help="IP address to listen on.")] = "127.0.0.1",
    state: StateFlag = DEFAULT_STATE,
    envoy: Annotated[
        Path | None, typer.Option(help="The Envoy binary. Default: that of .tools, or the PATH.")
    ] = None,
    redis: RedisFlag = None,
    ledger: LedgerFlag = None,
    trusted_proxies: ProxiesFlag = 0,
    sidecars: SidecarsFlag = True,
) -> None:
    """Start the whole gateway on this machine, and stop it with Ctrl-C."""
    typed = Typed(
        policy=policy,
        engines=tuple(engine or ()),
        vllm=vllm,
        workers=workers,
        address=address,
        port=port,
        metrics_port=metrics_port,
        state=state,
        envoy=envoy,
        redis=" ".join(redis or ()) or None,
        ledger=ledger,
        trusted_proxies=trusted_proxies,
        sidecars=sidecars,
    )
    screen = Screen()
    layout = Layout(state.resolve())
    try:
        with claimed(layout), (layout.log / "up.log").open("a", encoding="utf-8") as output:
            start_logging("up", stream=output)
            asyncio.run(run_up(typed, layout, screen))
    except (UpError, PolicyError, SettingsError, ConfigError, ChildError, OSError) as exc:
        fail(str(exc))


async def run_up(typed: Typed, layout: Layout, screen: Screen) -> None:
    plan, policy = await make_plan(typed, layout, screen.step)
    ready = Ready(
        command=command_name(),
        base_url=f"{plan.base_url}/v1",
        metrics_url=f"http://{plan.address}:{plan.metrics_port}/metrics",
        model=policy.models[0].name if policy.models else "MODEL",
        demo=typed.policy is None,
        layout=layout,
        elsewhere=plan.ledger is not None,
        policy=plan.policy,
        engines=", ".join(e for p in policy.pools for e in p.endpoints),
        silent=await find_silent(typed.redis or "", typed.ledger or ""),
    )
    await Up(plan, policy, screen.step).run(lambda: screen.page(page(ready)))
    screen.step("stopped")


def command_name() -> str:
    """How a person calls this program from here: it is usually not on the PATH."""
    called = Path(sys.argv[0])
    if called.name != "headgate":
        return f"{sys.executable} -m extproc.cli"
    return str(called) if called.parent != Path() else called.name


def fail(message: str) -> None:
    """Say it on stderr and leave with exit code 1."""
    typer.secho(message, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
    raise typer.Exit(1)
