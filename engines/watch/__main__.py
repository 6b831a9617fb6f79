"""The watch process, put together: `python -m engines.watch --state DIR`.

One for each host. Until SIGTERM or SIGINT it looks at every engine of `run/watch.json`, and tells the
workers of this host on `run/watch.sock`.
"""

import argparse
import asyncio
import gc
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from engines.base import ENGINES
from engines.kind import Engine
from engines.rates import RateLearner
from engines.watch import config, hub
from engines.watch.caches import Caches
from engines.watch.config import Config, ConfigFile
from engines.watch.discover import Discovery
from engines.watch.hub import Hub
from engines.watch.members import MembersFile
from engines.watch.messages import Look, Stored
from engines.watch.pace import Pace
from engines.watch.roster import Roster
from engines.watch.scrape import Scraper, Target
from telemetry.logs import Event, EventLog, start_logging
from telemetry.metrics import WatchMetrics

POLL_S = 0.25
"""How often the configuration is looked at: a stat."""
MEASURE_S = 1.0

log = EventLog("engines.watch")


class Watch:
    """All parts of one process."""

    def __init__(self, state: Path) -> None:
        run = state / "run"
        self._config = ConfigFile(run / config.NAME)
        self._socket = run / hub.NAME
        self._metrics = WatchMetrics(CollectorRegistry())
        self._pace = Pace()
        self._roster = Roster()
        self._caches = Caches(
            self._tell_stored, lambda how, n: self._metrics.kv_batches.add(how, amount=n)
        )
        self._hub = Hub(self._caches.everything)
        self._scraper = Scraper(self._tell_looks, self._pace, RateLearner)
        self._discovery = Discovery(self._roster, self._changed)
        self._file = MembersFile(run)
        self._now = Config()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop`. Raises: OSError when the socket cannot be made."""
        async with self._hub.serving(self._socket), asyncio.TaskGroup() as tasks:
            self._apply(self._config.current())
            log.info(Event.READY, socket=str(self._socket))
            beside = [
                tasks.create_task(each)
                for each in (
                    self._scraper.run(),
                    self._discovery.run(),
                    self._caches.run(),
                    self._follow(),
                    self._measure(),
                )
            ]
            await stop.wait()
            for task in beside:
                task.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if (found := self._config.current()) is not self._now:
                self._apply(found)

    def _apply(self, found: Config) -> None:
        self._now = found
        self._discovery.aim(found.pools)
        self._changed()

    def _changed(self) -> None:
        """Somebody came, or left: let all parts know."""
        members = self._roster.members()
        pools = {pool.name: pool for pool in self._now.pools}
        kinds = {str(name): engine for name, engine in ENGINES.items()}  # a file may name anything
        targets = {
            member.endpoint: target_of(member.endpoint, kinds[pools[name].engine])
            for name, named in members.pools.items()
            if name in pools and pools[name].engine in kinds
            for member in named
        }
        self._scraper.aim(list(targets.values()))
        self._hub.tell_members(
            members
        )  # before their caches: what is told of strangers is not kept
        self._caches.aim(self._now.pools, members)
        self._file.write(self._now.pools, members)

    def _tell_looks(self, looks: Sequence[Look]) -> None:
        self._hub.tell_looks(looks)
        for look in looks:
            self._metrics.looks.add(look.fault or "ok")
            self._caches.looked(look)

    def _tell_stored(self, stored: Stored) -> None:
        self._hub.tell_stored(stored)

    async def _measure(self) -> None:
        """See to it that looking takes no more than its share."""
        before_s, cpu_s, was_full = time.monotonic(), time.process_time(), True
        while True:
            await asyncio.sleep(MEASURE_S)
            now_s, spent_s = time.monotonic(), time.process_time()
            self._pace.spent((spent_s - cpu_s) / (now_s - before_s))
            before_s, cpu_s = now_s, spent_s
            self._metrics.interval.set(self._pace.interval_s)
            if self._pace.is_full != was_full:
                was_full = self._pace.is_full
                event = Event.WATCH_FAST if was_full else Event.WATCH_SLOWED
                log.warning(event, interval_s=round(self._pace.interval_s, 3))


def target_of(endpoint: str, engine: Engine) -> Target:
    return Target(
        endpoint, engine.health_path, engine.metrics_path, engine.read_load, engine.metric_names
    )


def raise_limit() -> None:
    """Allow as many open files as the system lets us: there is a connection for each engine."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def watch(state: Path) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await Watch(state).run(stop)
    except OSError as fault:
        log.error(Event.GAVE_UP, reason=str(fault))
        return 1
    log.info(Event.STOPPED)
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engines.watch", description="Looks at all engines, for all workers."
    )
    add = parser.add_argument
    add("--state", type=Path, default=Path(".headgate"), help="state directory (.headgate)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    add("--log-form", default="auto", choices=("auto", "json", "text"))
    options = parser.parse_args(arguments)
    start_logging("watch", level=options.log_level, form=options.log_form)
    raise_limit()
    return uvloop.run(watch(options.state))


if __name__ == "__main__":
    gc.freeze()  # modules stay: at the end alone, walking over them takes 50 ms of CPU
    sys.exit(main())
