"""The process of `headgate epp`, put together: endpoints, filters, server, health, metrics; and the watch
process beside it, which looks at the engines."""

import asyncio
import signal
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engines.watch.config import Config, write_config
from extproc.budget import MAX_HELD_BYTES, ByteBudget
from extproc.cli.children import Child
from extproc.cli.layout import Layout
from extproc.cli.processes import watch_engines
from extproc.cli.shapes import Shape
from extproc.enginesview import EnginesView
from extproc.epp.pipeline import find_pool
from extproc.errors import PolicyError
from extproc.metering import PrometheusMeter
from extproc.pipeline import Pipeline
from extproc.policy.load import load, load_sources
from extproc.policy.models import Policy
from extproc.policy.watch import Watch
from extproc.policy.watching import static_members, watched
from extproc.routing.health import Watchdog
from extproc.rpc.listener import Listener
from extproc.rpc.tls import Certificate, self_signed
from extproc.server import Server
from extproc.witness import CurrentPipeline
from telemetry.exposition import WorkerFiles, serving_metrics
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

HEALTH_BYTES = 64 * 1024
"""Largest message on the port that only tells of health."""
FOUND_S = 5.0
"""How long not to be ready because no endpoint was found yet. A pool may well be empty: then 503 is the
right answer, and better than none."""
LOOK_S = 0.05
CHILD_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to be asked."""

    listen: str
    health: int
    metrics: int
    files: tuple[Path, Path] | None
    """Certificate and key; None makes them."""
    plaintext: bool
    drain_s: float

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].removeprefix("[").removesuffix("]")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the policy comes from, and where things are kept."""

    layout: Layout
    directories: Sequence[Path] = ()
    given: Policy | None = None
    """Instead of directories."""


class Outlook:
    """What is known of engines, and the numbers."""

    def __init__(self) -> None:
        self.meter = PrometheusMeter()
        metrics = self.meter.metrics
        self.watchdog = Watchdog()
        self.view = EnginesView(
            self.watchdog,
            metrics.endpoints_healthy,
            metrics.looks_stale.set,
        )


class Picker:
    """The composition root. One process, because a gateway's thread asks on one connection, which the
    kernel gives to one process whole; more of them are more replicas."""

    def __init__(
        self, pool: str, source: Source, ports: Ports, outlook: Outlook, shape: Shape
    ) -> None:
        """Raises: PolicyError, TlsError, OSError."""
        self._pool, self._source, self._ports = pool, source, ports
        self._outlook, self._shape = outlook, shape
        self._meter, self._view = outlook.meter, outlook.view
        self._layout = source.layout
        self._meter.registry.register(WorkerFiles(self._layout.metrics))  # of the watch process
        policy = self._load()
        self._current = CurrentPipeline(self._assemble(policy))
        self._begun = policy
        self._watching = Child(watch_engines(self._layout))
        self._certificate = Certificate(*ports.files) if ports.files else None
        budget, life = ByteBudget(MAX_HELD_BYTES), shape.serving.serve
        self._server = Server(self._current, budget, self._meter, life, self._tls())
        self._health = Listener(self._server.health.methods(), HEALTH_BYTES)

    def _tls(self) -> ssl.SSLContext | None:
        if self._ports.plaintext:
            return None
        return self._certificate.context if self._certificate else self_signed(socket.gethostname())

    def _load(self) -> Policy:
        """Raises: PolicyError."""
        if self._source.given is not None:
            return self._source.given
        lasting = self._shape.lasting
        vocabularies = lasting.vocabularies if lasting else None
        return load(self._source.directories, self._shape.secrets, vocabularies)

    def _assemble(self, policy: Policy) -> Pipeline:
        """Raises: PolicyError, OSError."""
        pool = find_pool(policy, self._pool)
        pipeline = Pipeline(self._shape.build(policy), policy.version, self._meter)
        self._outlook.watchdog.govern({pool.name: pool.health.rules()}, time.monotonic())
        self._view.track({pool.name: static_members(policy)[pool.name]})
        write_config(self._layout.watch_config, Config(policy.version, (watched(pool),)))
        self._meter.metrics.serve_policy(policy.version)
        return pipeline

    def _swap(self, policy: Policy) -> None:
        self._current.pipeline = self._assemble(policy)
        self._meter.metrics.policy_reloads.add("ok")

    def _reject(self, _error: PolicyError, _version: str) -> None:
        self._meter.metrics.policy_reloads.add("rejected")

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. Raises: ChildError, RuntimeError, OSError."""
        ports, stop = self._ports, asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serving_metrics(self._meter.registry, ports.host, ports.metrics):
            try:
                await self._health.start(f"{ports.listen.rpartition(':')[0]}:{ports.health}")
                await self._watching.start()
                await self._shape.begin()
                port = await self._server.start(ports.listen, ready=False)
                log.info(Event.READY, listen=ports.listen, port=port, pool=self._pool)
                await self._until(stop)
            finally:
                await self._watching.stop(CHILD_GRACE_S)
                await self._health.drain(0.0)
        log.info(Event.STOPPED)

    async def _until(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(each)
                for each in (
                    self._view.run(self._layout.root),
                    self._watching.keep(),
                    self._shape.serving.renew(self._current),
                    self._begin(),
                    *self._shape.beside(),
                )
            ]
            if self._certificate is not None:
                beside.append(tasks.create_task(self._certificate.watch()))
            if self._source.directories:
                beside.append(tasks.create_task(self._reload().run()))
            await stop.wait()
            log.info(Event.DRAINING)
            self._shape.leave()
            await self._server.drain(self._ports.drain_s)
            for task in beside:
                task.cancel()

    def _reload(self) -> Watch:
        shape = self._shape
        vocabularies = shape.lasting.vocabularies if shape.lasting else None
        read = partial(load_sources, secrets=shape.secrets, vocabularies=vocabularies)
        return Watch(self._source.directories, self._begun, self._swap, self._reject, read)

    async def _begin(self) -> None:
        """Be ready once endpoints were found."""
        for _ in range(round(FOUND_S / LOOK_S)):
            if self._view.candidates(self._pool):
                break
            await asyncio.sleep(LOOK_S)
        self._server.health.serve()
