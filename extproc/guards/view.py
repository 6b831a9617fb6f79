"""What one worker knows of bans: a dictionary, brought up to date twice a second."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from extproc.errors import CountersFaultError
from extproc.guards.base import Ban, Bans, Barred, Case, Growth
from extproc.guards.subjects import kind_of
from telemetry.logs import Event, EventLog

log = EventLog(__name__)


class Known(msgspec.Struct, frozen=True):
    """A ban, by this process's clock."""

    case: Case
    until_s: float


class View:
    """Over the store that workers share. While that does not answer, bans are this worker's own, and
    told to the store when it is back."""

    def __init__(self, bans: Bans, spare: Bans, clock: Callable[[], float] = time.time) -> None:
        """`spare` keeps bans in this process; `clock` tells seconds since the epoch."""
        self._bans = bans
        self._spare = spare
        self._clock = clock
        self._seen = 0
        self._known: dict[Barred, dict[str, Known]] = {barred: {} for barred in Barred}
        self._owed: dict[str, tuple[Case, Growth]] = {}
        self._down = False

    def any(self, barred: Barred) -> bool:
        """Whether anybody is banned: mostly not, and then nothing else is asked."""
        return bool(self._known[barred])

    def find(self, barred: Barred, subject: str) -> Known | None:
        """Find the ban that is in force. 0.2 us."""
        known = self._known[barred].get(subject)
        return known if known and known.until_s > self._clock() else None

    def left_s(self, known: Known) -> float:
        return known.until_s - self._clock()

    def counts(self) -> Mapping[tuple[Barred, str], int]:
        """How many were in force when it was refreshed, by what they bar and the kind of subject."""
        known = self._known.items()
        return Counter((barred, kind_of(subject)) for barred, of in known for subject in of)

    async def ban(self, case: Case, growth: Growth) -> Ban | None:
        """Ban; None when another worker just did."""
        try:
            made = await self._bans.add(case, growth)
        except CountersFaultError as fault:
            self._note(fault)
            made = await self._spare.add(case, growth)
            self._owed[case.name] = case, growth
        if made:
            self._learn(made)
        return made

    async def refresh(self) -> bool:
        """Learn what has changed, and forget what is over. False when the store does not answer."""
        try:
            await self._pay()
            news = await self._bans.read(self._seen)
        except CountersFaultError as fault:
            self._note(fault)
        else:
            self._note(None)
            self._seen = news.seen
            for ban in news.bans:
                self._learn(ban)
        now_s = self._clock()
        for known in self._known.values():
            for subject in [each for each, one in known.items() if one.until_s <= now_s]:
                del known[subject]
        return not self._down

    async def _pay(self) -> None:
        """Tell the store of bans that it missed, if they are still in force."""
        while self._owed:
            name, (case, growth) = next(iter(self._owed.items()))
            if self.find(case.barred, case.subject):
                await self._bans.add(case, growth)
            del self._owed[name]

    def _learn(self, ban: Ban) -> None:
        case, known = ban.case, self._known[ban.case.barred]
        if ban.left_s > 0:
            known[case.subject] = Known(case, self._clock() + ban.left_s)
        elif self.find(case.barred, case.subject) and case.name not in self._owed:
            del known[case.subject]
            log.info(Event.BAN_LIFTED, subject=case.subject, barred=case.barred.value)

    def _note(self, fault: CountersFaultError | None) -> None:
        if self._down != bool(fault):
            self._down = bool(fault)
            if fault:
                log.warning(Event.BANS_DOWN, reason=str(fault))
            else:
                log.warning(Event.BANS_BACK, missed=len(self._owed))
