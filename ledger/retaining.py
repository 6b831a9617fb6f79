"""Deleting what has been kept long enough: logs first, then entries, then names.

In this order, because a line that is read again after its entry is gone would count twice. The
settle process does it by itself, as its policy says; `headgate ledger trim` does it by hand.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from ledger.config import Config
from ledger.database import Database
from ledger.finished import read_offsets
from ledger.forget import forget_absent
from ledger.logfiles import oldest, throw_out
from ledger.patience import patiently
from ledger.retention import Cutoffs, Plan, cutoffs, plan
from ledger.roots import add_root
from ledger.signing import Signer
from ledger.trim import MOST_CHAINS, Deleted, look, trim
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

EVERY_S = 3600.0
"""Cutoffs move once a day; a turn that found the ledger locked is made up for within the hour."""

LEAST_WIDTH, MOST_WIDTH, WINDOWS = 10_000, 100_000, 20
"""Entries in one transaction. The settle process waits for it, a quarter of a second for the fewest,
and each leaves a root, which has a line for every tenant: so they are as few as that allows."""

_log = EventLog(__name__)


@dataclass(slots=True)
class Outcome:
    """What is gone, or would be."""

    deleted: dict[str, Deleted] = field(default_factory=dict[str, Deleted])
    """By chain."""
    people: int = 0
    """Names of whom no entry was left."""
    logs: list[Path] = field(default_factory=list[Path])
    waits_for: Path | None = None
    """A log that goes further back than what may go, and is still written or not settled."""

    @property
    def entries(self) -> int:
        return sum(each.entries for each in self.deleted.values())


@dataclass(frozen=True, slots=True)
class Retainer:
    """One ledger and its logs. Any method raises LedgerError, OSError."""

    reader: Database
    writer: Database
    signer: Signer
    access_log: Path
    least_width: int = LEAST_WIDTH
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def plan(self, limits: Cutoffs) -> tuple[Plan, Path | None]:
        """Find which entries may go, and the log that keeps others."""
        found = oldest(self.access_log)
        waits_for = None
        if found is not None and found[1] < limits.latest_ms:
            waits_for = found[0]
            limits = limits.capped(found[1])
        with self.reader.transaction() as connection:
            return plan(connection, limits), waits_for

    def look(self, todo: Plan) -> dict[str, Deleted]:
        """Tell what that is."""
        found: dict[str, Deleted] = {}
        with self.reader.transaction() as connection:
            for some in _some(todo.until):
                found |= look(connection, some, todo.first_seq)
        return found

    def throw_out(self, limits: Cutoffs) -> list[Path]:
        """Delete the logs that go back further."""
        with self.reader.transaction() as connection:
            offsets = read_offsets(connection)
        return throw_out(self.access_log, limits.latest_ms, offsets, self.clock)

    def delete(self, todo: Plan) -> Outcome:
        """Delete the entries, some at a time, and then the names that nothing is left of."""
        outcome = Outcome()
        last = max(todo.until.values(), default=-1)
        width = min(max((last - todo.first_seq) // WINDOWS, self.least_width), MOST_WIDTH)
        for begin in range(todo.first_seq, last + 1, width):
            begin_s = time.monotonic()
            for chain, each in self._delete(todo, begin, begin + width - 1).items():
                before = outcome.deleted.get(chain)
                outcome.deleted[chain] = each if before is None else before + each
            self.sleep(time.monotonic() - begin_s)  # the settle process has waited as long
        if outcome.deleted:
            outcome.people = patiently(lambda: forget_absent(self.reader, self.writer), self.sleep)
        return outcome

    def run(self, limits: Cutoffs, last_seq: int | None = None) -> Outcome:
        """Do all of it, as far as `last_seq`."""
        logs = self.throw_out(limits)
        todo, waits_for = self.plan(limits)
        outcome = self.delete(todo if last_seq is None else todo.capped(last_seq))
        outcome.logs, outcome.waits_for = logs, waits_for
        return outcome

    def _delete(self, todo: Plan, begin: int, end: int) -> dict[str, Deleted]:
        until = {chain: min(last, end) for chain, last in todo.until.items() if last >= begin}

        def run() -> dict[str, Deleted]:
            with self.writer.transaction() as connection:
                return self._trim(connection, until, begin)

        return patiently(run, self.sleep)

    def _trim(
        self, connection: Connection, until: Mapping[str, int], begin: int
    ) -> dict[str, Deleted]:
        deleted: dict[str, Deleted] = {}
        for some in _some(until):
            deleted |= trim(connection, some, begin)
        add_root(connection, self.signer, round(self.clock() * 1000))
        return deleted


class Retaining:
    """The duty."""

    name = "retention"
    every_s = EVERY_S
    at_stop = False

    def __init__(
        self, retainer: Retainer, config: Callable[[], Config], metrics: SettleMetrics
    ) -> None:
        self._retainer = retainer
        self._config = config
        self._metrics = metrics
        self._done: Cutoffs | None = None
        """Nothing more goes until the day or the policy is another."""

    def run(self) -> None:
        """Raises LedgerError, OSError."""
        kept = self._config().retention
        limits = cutoffs(kept, round(self._retainer.clock() * 1000))
        if kept.by_hand or not limits.latest_ms or limits == self._done:
            return
        done = self._retainer.run(limits)
        self._done = limits if done.waits_for is None else None
        self._metrics.trimmed.add(amount=done.entries)
        if done.waits_for is not None:
            _log.warning(Event.RETENTION_WAITS, file=done.waits_for.name)
        if done.entries or done.logs:
            logs = [path.name for path in done.logs]
            _log.info(Event.RETENTION, entries=done.entries, people=done.people, logs=logs)


def _some(until: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Split it up into as many chains as fit into one query."""
    chains = list(until.items())
    return (dict(chains[n : n + MOST_CHAINS]) for n in range(0, len(chains), MOST_CHAINS))
