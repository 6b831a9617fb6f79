"""The settle process, put together: `python -m ledger --state DIR`.

One per state directory; a second one is turned away. SIGTERM or SIGINT: settle what is in the
files, then exit 0; exit 1 when that was not possible in time (the next start goes on from there)
or when it cannot start.
"""

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import disable_created_metrics

from alerts.deliver import Deliverer
from alerts.outbox import Outbox
from audit import rooting
from audit.collect import Collector
from audit.journal import DIRECTORY
from audit.store import audit_place
from audit.trim import Trimmer, Trimming
from ledger import roots
from ledger.config import NAME, ConfigFile
from ledger.costs import CostAlerts
from ledger.database import Database, new_database, open_database
from ledger.disagreement import Teller
from ledger.duty import Duty, attend, conclude
from ledger.follow import follow
from ledger.reconciling import Reconciling
from ledger.retaining import Retainer, Retaining
from ledger.settle import LEASE_S, Settler
from ledger.signing import load_signer
from ledger.sql import SqlLedger, open_ledger
from ledger.store import LedgerError, LedgerUnavailableError
from telemetry.exposition import registry_over, serving_metrics
from telemetry.logs import Event, EventLog, start_logging
from telemetry.metrics import SettleMetrics

DRAIN_S = 5.0
"""How long a stop may take. What is not read by then is read at the next start."""

OPEN_RETRY_S = 1.0
"""Pause between attempts to open a ledger whose database is away."""

_log = EventLog("ledger")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    start_logging("settle", level=options.log_level, form=options.log_form)
    # Without `_created`, one more series for each counter, which nobody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client gives no type
    try:
        return asyncio.run(_run(options))
    except (LedgerError, OSError) as fault:
        _log.error(Event.GAVE_UP, reason=str(fault))
    except Exception as fault:  # noqa: BLE001 - the last chance to say in our log why we end
        _log.error(Event.FAULT, fault)
    return 1


async def _run(options: argparse.Namespace) -> int:
    state: Path = options.state
    for directory in ("log", "journal", "metrics"):
        (state / directory).mkdir(parents=True, exist_ok=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    registry = registry_over(state / "metrics")
    metrics = SettleMetrics(registry)
    where: str | Path = options.ledger or state / "ledger.sqlite"
    async with serving_metrics(registry, options.metrics_host, options.metrics_port) as port:
        with closing(await _open(where, stop)) as ledger:
            settler = Settler(
                access_log(state), state / "journal", ledger, metrics, options.lease_s
            )
            with (
                closing(settler),
                closing(open_database(where, writes=True)) as database,
                closing(open_database(where)) as reader,
                closing(new_database(audit_place(state, options.ledger))) as records,
            ):
                _log.info(Event.READY, metrics=f"http://{options.metrics_host}:{port}/metrics")
                config = ConfigFile(state / "run" / NAME)
                beside = Beside(settler, database, reader, records, config, metrics)
                complete = await beside.run(options, stop)
    if not complete:
        _log.warning(Event.DRAIN_INCOMPLETE)
        return 1
    _log.info(Event.STOPPED)
    return 0


def access_log(state: Path) -> Path:
    return state / "log" / "access.jsonl"


async def _open(where: str | Path, stop: asyncio.Event) -> SqlLedger:
    """Open the ledger, however long its database is away; give up when it is time to stop."""
    while True:
        try:
            return await asyncio.to_thread(open_ledger, where)
        except LedgerUnavailableError as fault:
            if stop.is_set():
                raise
            _log.warning(Event.LEDGER_WAIT, reason=str(fault))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), OPEN_RETRY_S)


@dataclass(frozen=True, slots=True)
class Beside:
    """The settler, and what it takes to do the duties beside it."""

    settler: Settler
    database: Database
    reader: Database
    records: Database
    """Of audit."""
    config: ConfigFile
    metrics: SettleMetrics

    async def run(self, options: argparse.Namespace, stop: asyncio.Event) -> bool:
        """Settle, and do all the rest, until `stop`; True when nothing is left to settle."""
        duties = self._duties(options)
        deliverer = Deliverer(
            options.state / "alerts", self.metrics, lambda: self.config.current().webhooks
        )
        async with asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(deliverer.run())
            attending = tasks.create_task(attend(duties, stop, self.metrics))
            complete = await follow(self.settler, stop, options.drain_s)
            await attending
            delivering.cancel()
        await conclude(duties, self.metrics)
        return complete

    def _duties(self, options: argparse.Namespace) -> Sequence[Duty]:
        state: Path = options.state
        config, outbox = self.config.current, Outbox(state / "alerts")
        signer = load_signer(state)
        root_interval_s = options.root_interval_s or config().root_interval_s
        return [
            roots.Rooting(
                self.database,
                signer,
                state / roots.FILE_NAME,
                every_s=root_interval_s,
            ),
            Reconciling(
                self.reader,
                self.database,
                config,
                lambda: self.settler.settled_until_s,
                Teller(outbox, self.metrics),
            ),
            CostAlerts(self.reader, self.database, config, outbox),
            Retaining(
                Retainer(self.reader, self.database, signer, access_log(state)),
                config,
                self.metrics,
            ),
            Collector(self.records, state / DIRECTORY, self.metrics),
            rooting.AuditRooting(
                self.records, signer, state / rooting.FILE_NAME, every_s=root_interval_s
            ),
            Trimming(
                Trimmer(self.records, signer),
                lambda: None if config().audit.by_hand else config().audit.days,
            ),
        ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ledger", description="The settle process.")
    add = parser.add_argument
    add("--state", type=Path, default=Path(".headgate"), help="state directory (.headgate)")
    add("--ledger", help="path or URL of the ledger (STATE/ledger.sqlite)")
    add("--root-interval-s", type=float, help="sign every (3600, or as the policy says)")
    add("--metrics-host", default="127.0.0.1", help="address of /metrics (127.0.0.1)")
    add("--metrics-port", type=int, default=9090, help="port of /metrics (9090); 0: any free one")
    add("--lease-s", type=float, default=LEASE_S, help="give a silent request up after this (60)")
    add("--drain-s", type=float, default=DRAIN_S, help="longest stop (5)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    add("--log-form", default="auto", choices=("auto", "json", "text"))
    return parser


if __name__ == "__main__":
    gc.freeze()  # modules stay: at the end alone, walking over them takes 0.1 s of CPU
    sys.exit(main())
