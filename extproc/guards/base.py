"""What a ban is, how bans grow, and the port to where they are kept."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

DAY_MS = 86_400_000
"""A ban that begins within this time after another has ended is the next in a row."""
MOST_BANS = 10_000
"""Kept at once, with those that are over and still make the next one longer: 5 MB. Beyond that those go
that end soonest."""
LONGEST_ROW = 100
"""Bans in a row that are counted; none grows for so long."""


BY_HAND = "by hand"
"""Why there is a ban that a person made."""


class Barred(StrEnum):
    """What a ban keeps out."""

    REQUESTS = "requests"
    """All of them."""
    LONG_PROMPTS = "long_prompts"
    """Only those whose prompts are long."""


class Case(msgspec.Struct, frozen=True):
    """Whom a ban is for, and why."""

    subject: str
    """`address:203.0.113.7`, `key:ID` or `user:TENANT/USER`: see `subjects.py`."""
    barred: Barred = Barred.REQUESTS
    why: str = ""
    """For the operator; clients do not see it."""
    shadow: bool = False
    """It is told, but nobody is refused for it."""

    @property
    def name(self) -> str:
        """What it is kept under: a subject has one ban of a kind."""
        return f"{self.barred.value}:{self.subject}"


class Ban(msgspec.Struct, frozen=True):
    """A ban, in force or over, as it stood when the store was asked."""

    case: Case
    since_ms: int
    """Since 1970, by the store's clock."""
    left_s: float
    """0 when it is over."""
    times: int = 1
    """Which in a row; 0 for one that a person made, and for one that was lifted."""


class Growth(msgspec.Struct, frozen=True):
    """How long bans are: each in a row `factor` times the one before."""

    first_s: float
    factor: float
    longest_s: float

    def length_ms(self, times: int) -> int:
        """Of the ban that is the `times`-th in a row. Lua has a twin of it: `bans_put.lua`."""
        grown_ms = self.first_s * 1000 * self.factor ** (min(times, LONGEST_ROW) - 1)
        return int(min(grown_ms, self.longest_s * 1000))


class News(msgspec.Struct, frozen=True):
    """What has changed since the last look."""

    bans: Sequence[Ban]
    """Those that are over or were lifted as well: whoever knows them forgets them."""
    seen: int
    """What to ask with the next time."""


class Bans(Protocol):
    """Where bans are kept. Every method may raise CountersFaultError; what was asked for may have been
    done all the same."""

    async def add(self, case: Case, growth: Growth) -> Ban | None:
        """Ban, longer than the last time. None when a ban of that kind is in force already: of several
        workers that notice the same, one makes the ban."""
        ...

    async def put(self, case: Case, length_s: float) -> Ban:
        """Ban for that long from now, whatever there was: for people."""
        ...

    async def lift(self, case: Case) -> bool:
        """End a ban, and forget those before it. False when none was in force."""
        ...

    async def read(self, seen: int = 0) -> News:
        """What has changed since, and perhaps something of before; with 0 all there is."""
        ...


class GuardMeter(Protocol):
    """Numbers about guards."""

    def banned(self, case: Case) -> None:
        """Count a ban that this worker has made."""
        ...

    def barred(self, case: Case) -> None:
        """Count a request that met a ban."""
        ...

    def in_force(self, counts: Mapping[tuple[Barred, str], int]) -> None:
        """Say how many bans are in force, by what they bar and the kind of subject."""
        ...
