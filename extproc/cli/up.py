"""`headgate up`: the whole gateway on one machine, started in order and stopped in order.

    engines -> watch -> workers -> settle -> sidecars -> Envoy -> ready
    Envoy -> workers, sidecars -> watch, settle -> engines

Envoy comes last and leaves first, so that no request meets a part that is not there. The settle
process outlives it, to read the last lines of its log.
"""

import asyncio
import signal
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import aiohttp

from audit.journal import writing
from extproc.cli.admin import drain, is_ready, reopen_logs
from extproc.cli.children import Child
from extproc.cli.engines import is_healthy
from extproc.cli.memory import keep_in_memory, let_go
from extproc.cli.processes import (
    LAST_GRACE_S,
    Plan,
    engine,
    envoy,
    is_counting,
    settle,
    sidecar,
    valkey,
    watch,
    worker,
)
from extproc.cli.published import Published
from extproc.cli.rotate import AccessLog
from extproc.counting.vocabulary import Vocabularies
from extproc.errors import PolicyError
from extproc.policy.load import load_sources
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader
from extproc.policy.trail import PolicyTrail
from extproc.policy.watch import Watch
from extproc.settings import inherited
from extproc.sidecars import SIDECARS

READY_S = 20.0
"""How long any part may take to start. Python imports take most of it, on a loaded machine."""
DRAIN_ENVOY_S = 4.0
"""How long answers under way may go on after Ctrl-C. Together with what Envoy, the workers and the
last ones get below it makes 9.5 s: all is over in ten."""
GRACE_S = 1.5


class Up:
    """One running gateway."""

    def __init__(self, plan: Plan, policy: Policy, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._policy = policy
        self._say = say
        engines = enumerate(plan.processes)
        self._engines = [Child(engine(plan, number, process)) for number, process in engines]
        self._counters = [Child(valkey(plan, plan.valkey))] if plan.valkey else []
        self._watch = Child(watch(plan))
        self._workers = [Child(worker(plan, number)) for number in range(plan.workers)]
        self._settle = Child(settle(plan))
        named = [each.name for each in SIDECARS] if plan.sidecars else []
        self._sidecars = {name: Child(sidecar(plan, name)) for name in named}
        self._envoy = Child(envoy(plan))
        self._in_force = policy
        self._trail: PolicyTrail | None = None
        self._published = Published(plan, policy)

    async def run(self, ready: Callable[[], None]) -> None:
        """Start everything, call `ready`, and serve until SIGTERM, SIGINT or SIGHUP.

        Raises:
            ChildError, ConfigError: Something could not be started; what was started is stopped.
        """
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with writing(self._plan.layout.root) as audit:
            self._trail = PolicyTrail(audit)
            try:
                if await self._start_unless(stop):
                    self._trail.begun(self._policy)
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
        for child in (*self._engines, *self._counters):
            await child.start()
        self._say("rendering and checking the Envoy configuration")
        await self._published.begin()  # they start meanwhile
        for child, process in zip(self._engines, self._plan.processes, strict=True):
            await child.ready(partial(is_healthy, process.endpoint), process.deadline_s)
        for child in self._counters:
            await child.ready(partial(is_counting, self._plan.layout.counters_socket), READY_S)
        self._say(f"starting {len(self._workers)} workers, the settle process and Envoy")
        keep_in_memory(self._plan.layout.metrics)
        await self._watch.start()
        await self._watch.ready(partial(exists, self._plan.layout.watch_socket), READY_S)
        for child in (*self._workers, self._settle, *self._sidecars.values()):
            await child.start()
        for number, child in enumerate(self._workers):
            await child.ready(partial(exists, self._plan.layout.worker_socket(number)), READY_S)
        metrics = f"http://{self._plan.address}:{self._plan.metrics_port}/metrics"
        await self._settle.ready(partial(answers, metrics), READY_S)
        for name, child in self._sidecars.items():
            await child.ready(partial(exists, self._plan.layout.sidecar_socket(name)), READY_S)
        await self._envoy.start()
        admin = self._plan.layout.admin_socket
        await self._envoy.ready(partial(is_ready, admin, len(self._workers)), READY_S)

    async def _keep_until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            others = (
                self._watch,
                *self._workers,
                self._settle,
                *self._sidecars.values(),
                self._envoy,
            )
            children = (*self._engines, *self._counters, *others)
            beside = [tasks.create_task(child.keep()) for child in children]
            reload = Watch(
                self._plan.policy,
                self._policy,
                self._swap,
                self._reject,
                # With all that workers read for it: what they refuse must change nothing here, either.
                partial(
                    load_sources, secrets=SecretReader(inherited()), vocabularies=Vocabularies()
                ),
            )
            beside.append(tasks.create_task(reload.run(self._plan.policy_poll_s)))
            beside.append(tasks.create_task(self._access_log().keep()))
            following = tasks.create_task(self._published.follow())
            await stop.wait()
            self._say("draining")
            following.cancel()  # an Envoy that leaves follows nothing, which is no fault
            await self._stop()
            for task in beside:
                task.cancel()

    def _access_log(self) -> AccessLog:
        layout = self._plan.layout
        ledger = self._plan.ledger or layout.ledger
        reopen = partial(reopen_logs, layout.admin_socket)
        return AccessLog(layout.access_log, reopen, partial(finished, ledger))

    async def _stop(self) -> None:
        await drain(self._plan.layout.admin_socket, DRAIN_ENVOY_S)
        await self._envoy.stop(GRACE_S)
        served = (*self._workers, *self._sidecars.values())
        await asyncio.gather(*(child.stop(GRACE_S) for child in served))
        # Nothing comes from engines any more; what they and the settle process finish is apart.
        rest = (self._watch, self._settle, *self._counters, *self._engines)
        last = (child.stop(LAST_GRACE_S) for child in rest)
        await asyncio.gather(*last)
        for path in self._plan.layout.run.glob("*.sock"):
            path.unlink(missing_ok=True)
        let_go(self._plan.layout.metrics)

    def _swap(self, policy: Policy) -> None:
        self._published.tell(policy)
        before, self._in_force = self._in_force, policy
        if self._trail:
            self._trail.changed(before, policy)

    def _reject(self, _error: PolicyError, version: str) -> None:
        if self._trail:
            self._trail.rejected(version, self._in_force.version)


def finished(ledger: str | Path, logs: Sequence[Path]) -> Sequence[Path]:
    """Ask the ledger which logs it needs no more. It is asked when a log is full, and not before
    that is SQLAlchemy imported: 0.3 s of CPU. Raises: LedgerError, OSError."""
    found: Sequence[Path] = import_module("ledger.finished").finished(ledger, logs)
    return found


async def exists(path: Path) -> bool:
    return path.exists()


async def answers(url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=2.0)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
