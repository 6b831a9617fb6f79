"""A gateway at work, made up: requests in a journal and an access log, and a settler behind them."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Self

import msgspec
from prometheus_client import CollectorRegistry

from ledger.journal import JournalEntry, JournalWriter
from ledger.settle import Pace, Settler
from ledger.sql import open_ledger
from telemetry.metrics import SettleMetrics

TENANT = "headgate-drill"
USERS = 50
SETTLE_PAUSE_S = 0.05

_encode = msgspec.json.Encoder().encode


class Load:
    """Requests at a steady rate, each of which has ended when the next begins."""

    def __init__(self, access_log: Path, journals: Path, rate: float) -> None:
        for directory in (access_log.parent, journals):
            directory.mkdir(parents=True, exist_ok=True)
        self._access_log = access_log
        self._rate = rate
        self._begin_ns = time.time_ns()
        self._journal = JournalWriter(journals, start_ns=self._begin_ns, pid=0)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="drill load")
        self.requests = 0

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.requests and self._thread.is_alive():
            time.sleep(1 / self._rate)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._journal.close()

    def _run(self) -> None:
        begin_s = time.monotonic()
        with self._access_log.open("ab", buffering=0) as log:
            while not self._stop.wait(
                max(0.0, begin_s + self.requests / self._rate - time.monotonic())
            ):
                self._request(log.write)
                self.requests += 1

    def _request(self, write: Callable[[bytes], int]) -> None:
        now_s = time.time()
        entry = JournalEntry(
            at=now_s,
            settle_key=f"drill-{self._begin_ns}-{self.requests}",
            tenant=TENANT,
            user=f"user-{self.requests % USERS}",
            operation="chat",
            model="drill",
            pool="drill",
            price="0.15/0.075/0.6",
        )
        self._journal.append(entry)
        start = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
        line = {
            "type": "DownstreamEnd",
            "time": start.replace("+00:00", "Z"),
            "status": 200,
            "flags": "-",
            "details": "via_upstream",
            "latency_us": 1000,
            "ttft_us": 500,
            "attempts": 1,
            "endpoint": "127.0.0.1:0",
            "headgate": entry,
            "usage": {"prompt_tokens": 100 + self.requests % 900, "completion_tokens": 50},
        }
        write(_encode(line) + b"\n")


class Settling:
    """A settle process, which ends between two batches without a word: what is unread stays so."""

    def __init__(self, ledger: Path, access_log: Path, journals: Path) -> None:
        self._paths = ledger, access_log, journals
        self._stop = Event()
        self._thread = Thread(target=self._run, name="drill settle")
        self._turns = 0
        self.fault: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def catch_up(self) -> None:
        """Wait for a turn that begins from now on, which settles what is written by now; or for the end."""
        turn = self._turns + 2
        while self._turns < turn and self._thread.is_alive():
            time.sleep(SETTLE_PAUSE_S)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault

    def _run(self) -> None:
        try:
            self._settle()
        except BaseException as fault:  # noqa: BLE001 - raised again where somebody waits for us
            self.fault = fault

    def _settle(self) -> None:
        path, access_log, journals = self._paths
        metrics = SettleMetrics(CollectorRegistry())
        with (
            closing(open_ledger(path)) as ledger,
            closing(Settler(access_log, journals, ledger, metrics)) as settler,
        ):
            while not self._stop.is_set():
                pace = settler.step()
                self._turns += 1
                if pace is not Pace.MORE:
                    self._stop.wait(SETTLE_PAUSE_S)
