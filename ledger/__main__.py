"""The settle process, put together: `python -m ledger --state DIR`.

One per state directory; a second one is turned away. SIGTERM or SIGINT: settle what is in the
files, then exit 0; exit 1 when that was not possible in time (the next start goes on from there)
or when it cannot start.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from prometheus_client import disable_created_metrics

from ledger.settle import LEASE_S, Settler, follow
from ledger.sqlite import SqliteLedger
from ledger.store import LedgerError
from telemetry.exposition import registry_over, serving_metrics
from telemetry.logs import Event, EventLog, start_logging
from telemetry.metrics import SettleMetrics

DRAIN_S = 5.0
"""How long a stop may take. What is not read by then is read at the next start."""

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
    ledger = SqliteLedger(state / "ledger.sqlite")
    settler = Settler(
        state / "log" / "access.jsonl", state / "journal", ledger, metrics, options.lease_s
    )
    try:
        async with serving_metrics(registry, options.metrics_host, options.metrics_port) as port:
            _log.info(Event.READY, metrics=f"http://{options.metrics_host}:{port}/metrics")
            complete = await follow(settler, stop, options.drain_s)
    finally:
        settler.close()
        ledger.close()
    if not complete:
        _log.warning(Event.DRAIN_INCOMPLETE)
        return 1
    _log.info(Event.STOPPED)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ledger", description="The settle process.")
    add = parser.add_argument
    add("--state", type=Path, default=Path(".headgate"), help="state directory (.headgate)")
    add("--metrics-host", default="127.0.0.1", help="address of /metrics (127.0.0.1)")
    add("--metrics-port", type=int, default=9090, help="port of /metrics (9090); 0: any free one")
    add("--lease-s", type=float, default=LEASE_S, help="give a silent request up after this (60)")
    add("--drain-s", type=float, default=DRAIN_S, help="longest stop (5)")
    add("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    add("--log-form", default="auto", choices=("auto", "json", "text"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
