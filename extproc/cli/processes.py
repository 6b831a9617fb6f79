"""What `headgate up` starts: the command line and the environment of each process."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from extproc.cli.children import Command
from extproc.cli.engines import EngineProcess
from extproc.cli.layout import Layout
from extproc.settings import inherited

LAST_GRACE_S = 2.5
"""What the settle process and all that nobody needs any more get to stop: see `up.py`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `up` needs to know, decided and checked before anything is started."""

    layout: Layout
    envoy: Path
    address: str
    port: int
    metrics_port: int
    workers: int
    policy: tuple[Path, ...]
    policy_poll_s: float
    processes: Sequence[EngineProcess]
    redis: str
    """URL of the server that counts what is used of each limit."""
    valkey: Path | None
    """The binary of that server, when it is ours to start."""
    ledger: str | None
    """A path, or a database's URL; None is the file in the state directory."""
    trusted_proxies: int
    """How many entries of X-Forwarded-For, from its end, are to be believed."""
    sidecars: bool
    """Whether to start the services beside the gateway; without them their paths answer 503."""

    @property
    def base_url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"


def engine(plan: Plan, number: int, process: EngineProcess) -> Command:
    log_file = plan.layout.log / f"engine-{number}.log"
    return Command(f"engine-{number}", process.argv, {**inherited(), **process.env}, log_file)


def valkey(plan: Plan, binary: Path) -> Command:
    """Everything it is told is written to disk within a second: a budget outlives a restart."""
    layout = plan.layout
    argv = (
        *(str(binary), "--port", "0", "--unixsocket", str(layout.counters_socket)),
        *("--unixsocketperm", "600", "--dir", str(layout.counters)),
        *("--appendonly", "yes", "--save", "", "--daemonize", "no"),
    )
    return Command("valkey", argv, inherited(), layout.log / "valkey.log")


async def is_counting(path: Path) -> bool:
    """Ask for a sign of life: it listens before it has read what it had written down."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()


def worker(plan: Plan, number: int) -> Command:
    layout = plan.layout
    socket = layout.worker_socket(number)
    env = {
        **inherited(),
        "HEADGATE_POLICY": ":".join(str(path) for path in plan.policy),
        "HEADGATE_STATE": str(layout.root),
        "HEADGATE_LISTEN": f"unix:{socket}",
        "HEADGATE_REDIS": plan.redis,
        "HEADGATE_REPLICAS": str(plan.workers),
        "HEADGATE_URL": plan.base_url,
        "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics),
    }
    name = f"worker-{number}"
    return Command(
        name,
        (sys.executable, "-m", "extproc"),
        env,
        layout.log / f"{name}.log",
        before=partial(socket.unlink, missing_ok=True),
    )


def settle(plan: Plan) -> Command:
    layout = plan.layout
    argv = (
        *(sys.executable, "-m", "ledger", "--state", str(layout.root)),
        *(("--ledger", plan.ledger) if plan.ledger else ()),
        *("--metrics-host", plan.address, "--metrics-port", str(plan.metrics_port)),
        *("--drain-s", str(LAST_GRACE_S - 0.5)),
    )
    return Command("settle", argv, inherited(), layout.log / "settle.log")


def watch(plan: Plan) -> Command:
    return watch_engines(plan.layout)


def watch_engines(layout: Layout) -> Command:
    argv = (sys.executable, "-m", "engines.watch", "--state", str(layout.root))
    env = {**inherited(), "PROMETHEUS_MULTIPROC_DIR": str(layout.metrics)}
    before = partial(layout.watch_socket.unlink, missing_ok=True)
    return Command("watch", argv, env, layout.log / "watch.log", before)


def sidecar(plan: Plan, name: str) -> Command:
    layout = plan.layout
    socket = layout.sidecar_socket(name)
    argv = (
        *(sys.executable, "-m", f"sidecars.{name}", "--socket", str(socket)),
        *("--ledger", plan.ledger or str(layout.ledger)),
    )
    log_file = layout.log / f"sidecar-{name}.log"
    before = partial(socket.unlink, missing_ok=True)
    return Command(f"sidecar-{name}", argv, inherited(), log_file, before)


def envoy(plan: Plan) -> Command:
    argv = (str(plan.envoy), "-c", str(plan.layout.bootstrap), *ENVOY_FLAGS)
    return Command("envoy", argv, inherited(), plan.layout.log / "envoy.log")


ENVOY_FLAGS = (
    *("--disable-hot-restart", "--log-level", "warning"),
    # Envoy's default is 10 s. What it has not flushed is lost with it: of six kills at 80 requests a
    # second, 21 ends with 100 ms, 4 with this.
    *("--file-flush-interval-msec", "10"),
)
