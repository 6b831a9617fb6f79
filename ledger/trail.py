"""The looks at one engine that are still of use: to add up from, and to measure a day against. Pure."""

from collections import deque
from collections.abc import Iterable, Sequence

from ledger.looks import Look

WINDOW_MS = 15 * 60 * 1000
MAX_ENTRIES = 50_000
"""What is added up anew at each turn: the last 15 minutes, or fewer when they hold more entries than
this, which take 0.2 s of CPU, once in 20 s."""
DAY_MS = 24 * 3600 * 1000
STEP_MS = 3600 * 1000
"""How exactly "a day ago" is meant."""


class Trail:
    """All of one era."""

    def __init__(self, first: Look, rest: Iterable[Look] = ()) -> None:
        """`rest`: looks that came after `first`, oldest first."""
        self._recent = deque([first])
        self._hourly = deque([first])
        for look in rest:
            self._recent.clear()  # what was booked between them is not known any more
            self.add(look)

    @property
    def last(self) -> Look:
        return self._recent[-1]

    def add(self, look: Look) -> None:
        self._recent.append(look)
        if look.at_ms >= self._hourly[-1].at_ms + STEP_MS:
            self._hourly.append(look)

    def start(self, now_ms: int, seq: int) -> Look:
        """Choose the look to add up from, and forget those before it. `seq`: of the last entry.

        Never the last one, if there is another: what was booked just before this scrape has to be
        weighed again.
        """
        recent = self._recent
        while len(recent) > 2 and (
            recent[0].at_ms < now_ms - WINDOW_MS or recent[0].seq < seq - MAX_ENTRIES
        ):
            recent.popleft()
        return recent[0]

    def reference(self, now_ms: int) -> Look:
        """Choose the look of about a day ago, or the first of a younger era."""
        hourly = self._hourly
        while len(hourly) > 1 and hourly[1].at_ms <= now_ms - DAY_MS:
            hourly.popleft()
        return hourly[0]


def resume(looks: Iterable[Look]) -> Trail:
    """Go on from looks at one endpoint that were kept, oldest first; at least one."""
    kept = list(looks)
    era = kept[-1].era
    same = [look for look in kept if look.era == era]
    whole = len(same) < len(kept)  # the era began among them
    return Trail(Look.first(era), same) if whole else Trail(same[0], same[1:])


def spans(looks: Iterable[Look], since_ms: int) -> Sequence[tuple[Look, Look]]:
    """From looks at one endpoint, oldest first: the first and the last of each era, to be compared.

    An era that began among them, or after `since_ms`, is taken from its beginning.
    """
    found: list[tuple[Look, Look]] = []
    for look in looks:
        if found and found[-1][0].era == look.era:
            found[-1] = (found[-1][0], look)
        else:
            is_young = bool(found) or look.era.after_ms >= since_ms
            found.append((Look.first(look.era) if is_young else look, look))
    return found
