"""`headgate up`: the whole gateway on one machine, started in order and stopped in order.

    engines -> workers -> settle -> Envoy -> ready        Envoy -> workers -> settle -> engines

Envoy comes last and leaves first, so that no request meets a part that is not there. The settle
process outlives it, to read the last lines of its log.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from dataplane.gateway import Files, Gateway, Pool
from dataplane.render import endpoints, render, write
from dataplane.validate import check_envoy, check_types
from extproc.arrive import HEADERS
from extproc.budget import MAX_BODY_BYTES
from extproc.cli.admin import drain, is_ready, reopen_logs
from extproc.cli.children import Child, Command
from extproc.cli.engines import EngineProcess, is_healthy
from extproc.cli.layout import Layout
from extproc.cli.rotate import LOOK_S, rotate
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader
from extproc.policy.watch import Watch
from extproc.settings import inherited
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

READY_S = 20.0
"""How long any part may take to start. Python imports take most of it, on a loaded machine."""
DRAIN_ENVOY_S = 4.0
"""How long answers under way may go on after Ctrl-C. Together with what Envoy, the workers and the
last ones get below it makes 9.5 s: all is over in ten."""
GRACE_S = 1.5
LAST_GRACE_S = 2.5


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

    @property
    def base_url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"


class Up:
    """One running gateway."""

    def __init__(self, plan: Plan, policy: Policy, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._policy = policy
        self._say = say
        self._engines = [Child(self._engine(n, p)) for n, p in enumerate(plan.processes)]
        self._workers = [Child(self._worker(n)) for n in range(plan.workers)]
        self._settle = Child(self._settle_command())
        self._envoy = Child(self._envoy_command())

    async def run(self, ready: Callable[[], None]) -> None:
        """Start everything, call `ready`, and serve until SIGTERM, SIGINT or SIGHUP.

        Raises:
            ChildError, ConfigError: Something could not be started; what was started is stopped.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            if await self._start_unless(stop):
                ready()
                await self._keep_until(stop)
        finally:
            await self._stop()

    async def _start_unless(self, stop: asyncio.Event) -> bool:
        """Start in order; False when it was asked to stop in the meantime."""
        starting = asyncio.ensure_future(self._start())  # noqa: TID251 - raced, then awaited below
        stopping = asyncio.ensure_future(stop.wait())  # noqa: TID251
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
            return False
        await starting
        return True

    async def _start(self) -> None:
        if self._engines:
            self._say(f"starting {len(self._engines)} engines")
        for child in self._engines:
            await child.start()
        for child, process in zip(self._engines, self._plan.processes, strict=True):
            await child.ready(partial(is_healthy, process.endpoint), process.deadline_s)
        self._say("rendering and checking the Envoy configuration")
        await self._configure()
        self._say(f"starting {len(self._workers)} workers, the settle process and Envoy")
        for counted in self._plan.layout.metrics.glob("*.db"):
            counted.unlink()  # by workers of an earlier `up`
        for child in (*self._workers, self._settle):
            await child.start()
        for number, child in enumerate(self._workers):
            await child.ready(partial(exists, self._plan.layout.worker_socket(number)), READY_S)
        metrics = f"http://{self._plan.address}:{self._plan.metrics_port}/metrics"
        await self._settle.ready(partial(answers, metrics), READY_S)
        await self._envoy.start()
        admin = self._plan.layout.admin_socket
        await self._envoy.ready(partial(is_ready, admin, len(self._workers)), READY_S)

    async def _keep_until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            children = (*self._engines, *self._workers, self._settle, self._envoy)
            beside = [tasks.create_task(child.keep()) for child in children]
            reload = Watch(
                self._plan.policy,
                self._policy.version,
                self._tell_endpoints,
                secrets=SecretReader(inherited()),
            )
            beside.append(tasks.create_task(reload.run(self._plan.policy_poll_s)))
            beside.append(tasks.create_task(self._keep_log_short()))
            await stop.wait()
            self._say("draining")
            await self._stop()
            for task in beside:
                task.cancel()

    async def _keep_log_short(self) -> None:
        reopen = partial(reopen_logs, self._plan.layout.admin_socket)
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await rotate(self._plan.layout.access_log, reopen)
            except OSError as exc:
                log.error(Event.LOG_NOT_ROTATED, error=str(exc))

    async def _stop(self) -> None:
        await drain(self._plan.layout.admin_socket, DRAIN_ENVOY_S)
        await self._envoy.stop(GRACE_S)
        await asyncio.gather(*(child.stop(GRACE_S) for child in self._workers))
        # Nothing comes from engines any more; what they and the settle process finish is apart.
        last = (child.stop(LAST_GRACE_S) for child in (self._settle, *self._engines))
        await asyncio.gather(*last)
        for path in self._plan.layout.run.glob("*.sock"):
            path.unlink(missing_ok=True)

    async def _configure(self) -> None:
        gateway = self._gateway(self._policy)
        for pool in gateway.pools:
            write(endpoints(pool), gateway.endpoints_file(pool))
        text = render(gateway)
        check_types(text)
        write(text, self._plan.layout.bootstrap)
        await asyncio.to_thread(check_envoy, self._plan.layout.bootstrap, self._plan.envoy)

    def _gateway(self, policy: Policy) -> Gateway:
        layout = self._plan.layout
        return Gateway(
            port=self._plan.port,
            body_bytes=MAX_BODY_BYTES,
            shown_headers=HEADERS,
            address=self._plan.address,
            files=Files.under(layout.root),
            worker_sockets=tuple(layout.worker_socket(n) for n in range(self._plan.workers)),
            pools=tuple(
                Pool(pool.name, pool.endpoints, {e: pool.labels_of(e) for e in pool.endpoints})
                for pool in policy.pools
            ),
        )

    def _tell_endpoints(self, policy: Policy) -> None:
        """Let Envoy follow a changed policy: it notices the files that are renamed into place."""
        gateway = self._gateway(policy)
        known = {pool.name for pool in self._policy.pools}
        for pool in gateway.pools:
            write(endpoints(pool), gateway.endpoints_file(pool))
        if new := sorted({pool.name for pool in gateway.pools} - known):
            log.warning(Event.POOL_NEEDS_RESTART, pools=new)

    def _engine(self, number: int, process: EngineProcess) -> Command:
        log_file = self._plan.layout.log / f"engine-{number}.log"
        return Command(f"engine-{number}", process.argv, {**inherited(), **process.env}, log_file)

    def _worker(self, number: int) -> Command:
        layout = self._plan.layout
        socket = layout.worker_socket(number)
        env = {
            **inherited(),
            "HEADGATE_POLICY": ":".join(str(path) for path in self._plan.policy),
            "HEADGATE_STATE": str(layout.root),
            "HEADGATE_LISTEN": f"unix:{socket}",
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

    def _settle_command(self) -> Command:
        layout = self._plan.layout
        argv = (
            *(sys.executable, "-m", "ledger", "--state", str(layout.root)),
            *("--metrics-host", self._plan.address, "--metrics-port", str(self._plan.metrics_port)),
            *("--drain-s", str(LAST_GRACE_S - 0.5)),
        )
        return Command("settle", argv, inherited(), layout.log / "settle.log")

    def _envoy_command(self) -> Command:
        argv = (str(self._plan.envoy), "-c", str(self._plan.layout.bootstrap), *ENVOY_FLAGS)
        return Command("envoy", argv, inherited(), self._plan.layout.log / "envoy.log")


ENVOY_FLAGS = (
    *("--disable-hot-restart", "--log-level", "warning"),
    # Envoy's default is 10 s: what it had not flushed yet would be lost with it.
    *("--file-flush-interval-msec", "100"),
)


async def exists(path: Path) -> bool:
    return path.exists()


async def answers(url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=2.0)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
