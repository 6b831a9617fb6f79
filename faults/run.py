"""One case: start, load, harm, drain, judge."""

import asyncio
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from faults.books import Books
from faults.cases.case import Case, CaseError
from faults.excuse import NONE, Window
from faults.flaws import must_have_line
from faults.load import Load
from faults.mix import Mix
from faults.place import Site, site_of
from faults.stand import wait_for
from faults.verdict import Evidence, Verdict, judge
from ledger.settle import LEASE_S
from ledger.store import LedgerError

LEAD_S = 3.0
"""Load before the harm, so that answers of every kind are under way, and after it: what was mended has
to serve. Half of that in short runs."""
LOOK_S = 0.2
PATIENCE_S = 30.0
"""Longest wait for the ledger."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How much load, for how long at least."""

    seconds: float = 20.0
    rate: float = 50.0

    @property
    def lead_s(self) -> float:
        return LEAD_S if self.seconds >= 4 * LEAD_S else LEAD_S / 2


class Result(msgspec.Struct, frozen=True):
    """One case and what came of it."""

    case: str
    verdict: Verdict
    mended_s: float
    """From the harm until all was well."""
    caught_up_s: float | None
    """From then until the ledger had every request that had been answered by then."""


async def run(case: Case, setting: Setting, root: Path, say: Callable[[str], None]) -> Result:
    """Raises: StandError, VolumeError, ServerError, LedgerError."""
    say(f"{case.name}: starting a gateway, its ledger {case.place.value}")
    with site_of(case.place, root) as site, reading(site.ledger) as books:
        load = Load(site.stand.url, Mix(case.name), setting.rate)
        drive = Drive(case, site, books, load)
        begun_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            await asyncio.sleep(setting.lead_s)
            say(f"{case.name}: {case.does}")
            await drive.harm()
            tasks.create_task(drive.catch_up())
            left_s = begun_s + setting.seconds - time.monotonic()
            await asyncio.sleep(max(setting.lead_s, left_s))
            load.stop()
            say(f"{case.name}: waiting for the ledger")
        await drive.drain()
        return drive.judge()


class Drive:
    """A case under way."""

    def __init__(self, case: Case, site: Site, books: Books, load: Load) -> None:
        self._case = case
        self._site = site
        self._books = books
        self._load = load
        self._window = Window(math.inf, math.inf)
        self._caught_up_s: float | None = None
        self._problems: list[str] = []
        # Whom nobody told of its end, the ledger gives up when the lease is over.
        self._patience_s = PATIENCE_S + (LEASE_S if case.excuse.endless else 0.0)

    async def harm(self) -> None:
        begun_s = time.monotonic()
        try:
            await self._case.harm(self._site)
        except CaseError as fault:
            self._problems.append(str(fault))
        self._window = Window(begun_s, time.monotonic())

    async def catch_up(self) -> None:
        """Measure how long the ledger takes to have all that had been answered when all was well."""
        if await self._until_booked(self._due()):
            self._caught_up_s = time.monotonic() - self._window.over_s

    async def drain(self) -> None:
        """Wait until the ledger has everything, and nothing is open any more."""
        if await self._until_booked(self._due()):
            await self._until(lambda: self._books.open_requests() == 0)

    def judge(self) -> Result:
        evidence = Evidence(
            answers=self._load.answers,
            lines=self._books.lines(),
            totals=self._books.totals(),
            engines=self._site.stand.engine_tokens(),
            window=self._window,
            excuse=self._case.excuse,
            more=[*self._problems, *self._books.prove(self._site.stand.state)],
        )
        return Result(
            case=self._case.name,
            verdict=judge(evidence),
            mended_s=self._window.over_s - self._window.begun_s,
            caught_up_s=self._caught_up_s,
        )

    def _due(self) -> set[str]:
        """Requests that must have a row, of those that are over by now."""
        window, excuse = self._window, self._case.excuse
        return {
            answer.request_id
            for answer in self._load.answers
            if must_have_line(answer, excuse if window.met(answer) else NONE)
        }

    async def _until_booked(self, due: set[str]) -> bool:
        return await self._until(lambda: due <= self._books.request_ids())

    async def _until(self, check: Callable[[], bool]) -> bool:
        until_s = time.monotonic() + self._patience_s
        while not await asyncio.to_thread(check):
            if time.monotonic() > until_s:
                return False
            await asyncio.sleep(LOOK_S)
        return True


@contextmanager
def reading(ledger: str) -> Generator[Books]:
    """Open the ledger as soon as the settle process has made it. Raises: StandError."""

    def opened() -> Books | None:
        try:
            return Books(ledger)
        except LedgerError:
            return None

    books = wait_for(opened, what="a ledger")
    try:
        yield books
    finally:
        books.close()
