"""`headgate epp`: the endpoint picker of an InferencePool's gateway, as a command."""

import sys
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from dataplane.gateway import ConfigError
from dataplane.render import resolve
from extproc.cli.children import ChildError
from extproc.cli.layout import Layout
from extproc.cli.picker import Outlook, Picker, Ports, Source
from extproc.cli.shapes import Picking, governing
from extproc.epp.pipeline import PickerRules
from extproc.epp.shed import QUEUE_DEPTH, Full
from extproc.errors import PolicyError
from extproc.policy.models import Policy
from extproc.routing.candidate import TRIES
from extproc.settings import Settings
from telemetry.logs import start_logging

DRAIN_S = 25.0
"""How long answers may still take after SIGTERM: five seconds less than Kubernetes waits."""


PoolFlag = Annotated[str, typer.Option(help="Which pool of the policy.")]
PolicyFlag = Annotated[Path | None, typer.Option(help="Directory of policy files.")]
EndpointsFlag = Annotated[
    str | None,
    typer.Option(help="Instead of a policy: engines as HOST:PORT, with commas between them."),
]
EngineFlag = Annotated[str, typer.Option(help="Of --endpoints: vllm, sglang, tgi, ...")]
ListenFlag = Annotated[str, typer.Option(help="Where gateways ask.")]
CertFlag = Annotated[
    Path | None, typer.Option(help="Certificate, PEM. Default: one is made at the start.")
]
KeyFlag = Annotated[Path | None, typer.Option(help="Its key, PEM.")]
PlaintextFlag = Annotated[bool, typer.Option("--plaintext", help="No TLS.")]
HealthFlag = Annotated[int, typer.Option(min=1, max=65535, help="gRPC health, never TLS.")]
MetricsFlag = Annotated[int, typer.Option(min=1, max=65535, help="Prometheus.")]
TriesFlag = Annotated[
    int, typer.Option(min=1, max=TRIES, help="Most endpoints for one request, best first.")
]
ObjectiveFlag = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PRIORITY; repeatable. Below 0: refused when all engines are full."),
]
QueueFlag = Annotated[int, typer.Option(min=1, help="Waiting requests that make an engine full.")]
InFlightFlag = Annotated[
    int | None, typer.Option(min=1, help="Requests sent there that make it full. Default: any.")
]
ConformanceFlag = Annotated[
    bool, typer.Option("--conformance", help="Obey the header test-epp-endpoint-selection.")
]
FullFlag = Annotated[
    bool, typer.Option("--full", help="Identity, access and limits too, by --policy.")
]
RedisFlag = Annotated[
    list[str] | None,
    typer.Option(envvar="HEADGATE_REDIS", help="With --full: URL of what counts for limits."),
]
DrainFlag = Annotated[float, typer.Option(min=0, help="For open answers after SIGTERM.")]
StateFlag = Annotated[
    Path | None, typer.Option(help="For a socket and a log. Default: a temporary directory.")
]


def epp(  # noqa: PLR0913, PLR0917 - typer: one parameter for each flag
    pool: PoolFlag = "pool",
    policy: PolicyFlag = None,
    endpoints: EndpointsFlag = None,
    engine: EngineFlag = "vllm",
    listen: ListenFlag = "0.0.0.0:9002",
    cert: CertFlag = None,
    key: KeyFlag = None,
    plaintext: PlaintextFlag = False,
    health_port: HealthFlag = 9003,
    metrics_port: MetricsFlag = 9090,
    tries: TriesFlag = TRIES,
    objective: ObjectiveFlag = None,
    queue_depth: QueueFlag = QUEUE_DEPTH,
    in_flight: InFlightFlag = None,
    conformance: ConformanceFlag = False,
    full: FullFlag = False,
    redis: RedisFlag = None,
    drain_s: DrainFlag = DRAIN_S,
    state: StateFlag = None,
) -> None:
    """Pick endpoints for somebody else's gateway (Endpoint Picker Protocol), until Ctrl-C."""
    start_logging("epp")
    try:
        limit = Full(queue_depth, in_flight=in_flight)
        rules = PickerRules(pool, read_objectives(objective or ()), limit, tries, conformance)
        files = read_files(cert, key)
        ports = Ports(check_tcp(listen), health_port, metrics_port, files, plaintext, drain_s)
        with made(state) as layout:
            source = read_source(layout, policy, endpoints, pool, engine)
            counted = read_redis(source, redis or ()) if full else None
            uvloop.run(serve(rules, source, ports, counted))
    except (ConfigError, PolicyError, ChildError, RuntimeError, OSError, ValueError) as exc:
        typer.secho(str(exc), err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
        raise typer.Exit(1) from None


@contextmanager
def made(state: Path | None) -> Generator[Layout]:
    """Make the directories, for as long as they are needed where none was named. Raises: OSError."""
    with ExitStack() as stack:
        if state is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-epp-")))
        layout = Layout(state.resolve())
        layout.make()
        yield layout


async def serve(rules: PickerRules, source: Source, ports: Ports, redis: str | None) -> None:
    """Serve as a picker alone, or, with `redis`, which may be empty, as all of the gateway.

    Raises: ConfigError, PolicyError, ChildError, RuntimeError, OSError, ValueError.
    """
    outlook = Outlook()
    view, meter = outlook.view, outlook.meter
    if redis is None:
        await Picker(rules.pool, source, ports, outlook, Picking(rules, view)).run()
        return
    settings = Settings(tuple(source.directories), source.layout.root, ports.listen, redis=redis)
    async with governing(rules, settings, view, meter) as shape:
        await Picker(rules.pool, source, ports, outlook, shape).run()


def read_source(
    layout: Layout, directory: Path | None, endpoints: str | None, pool: str, engine: str
) -> Source:
    """Find the policy, or make one of endpoints. Raises: ConfigError, ValueError."""
    if (directory is None) == (endpoints is None):
        raise ValueError("give either --policy DIR or --endpoints HOST:PORT,HOST:PORT")
    if directory is not None:
        return Source(layout, (directory,))
    named = [each.strip() for each in str(endpoints).split(",")]
    if not all(each.rpartition(":")[2].isdecimal() for each in named):
        raise ValueError(f"--endpoints: {endpoints!r} is not HOST:PORT,HOST:PORT")
    resolved = list(dict.fromkeys(resolve(each) for each in named))
    given = {"pools": [{"name": pool, "engine": engine, "endpoints": resolved}]}
    return Source(layout, given=Policy.model_validate(given).at("endpoints"))


def read_redis(source: Source, given: Sequence[str]) -> str:
    """Raises: ValueError."""
    if source.given is not None:
        raise ValueError("--full needs --policy DIR: it says who may do what")
    return " ".join(given)


def check_tcp(listen: str) -> str:
    """Raises: ValueError."""
    port = listen.rpartition(":")[2]
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"--listen: {listen!r} is not ADDRESS:PORT")
    return listen


def read_objectives(given: Iterable[str]) -> dict[str, int]:
    """Raises: ValueError."""
    found: dict[str, int] = {}
    for each in given:
        name, _, priority = each.rpartition("=")
        try:
            found[name] = int(priority)
        except ValueError:
            raise ValueError(f"--objective: {each!r} is not NAME=PRIORITY") from None
    return found


def read_files(cert: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """Raises: ValueError."""
    if cert is not None and key is not None:
        return cert, key
    if cert is not None or key is not None:
        raise ValueError("--cert and --key belong together")
    return None
