"""The lines before limits, in one process: whose turn it is, and who is called."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from extproc.limits.base import Charge, Place, Ticket, find_places, has_line
from extproc.limits.queue import NOBODY, Line, expect_us
from extproc.limits.state import NEVER, State


class Stand(msgspec.Struct, frozen=True):
    """How a request stands before a limit that has a line."""

    place: Place
    amount: int
    weight: int
    is_in: bool
    is_first: bool
    """Or nobody waits."""


class MemoryLines:
    """The lines before all limits, by name and scope."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._hear: Callable[[Place], object] = lambda _: None

    def __len__(self) -> int:
        """How many places are taken in all of them."""
        return sum(map(len, self._lines.values()))

    def listen(self, hear: Callable[[Place], object]) -> None:
        self._hear = hear

    def find(
        self, settle_key: str, charges: Sequence[Charge], ticket: Ticket
    ) -> list[Stand | None]:
        """Look how a request stands before each limit; None where there is no line."""
        places = iter(find_places(settle_key, charges, ticket))
        return [
            self._find(next(places), charge.amount, ticket.weight)
            if has_line(charge.limit)
            else None
            for charge in charges
        ]

    def _find(self, place: Place, amount: int, weight: int) -> Stand:
        line = self._lines.get(place.line)
        first = line.first() if line else None
        is_in = line is not None and line.has(place)
        return Stand(place, amount, weight, is_in, first in {None, place})

    def wait_us(self, stand: Stand, state: State, now_us: int) -> int:
        """0 when there is room, and nobody before who waits for it; else a guess how long it takes;
        NEVER."""
        wait_us = state.wait_us(stand.amount, now_us)
        if wait_us == NEVER or (wait_us == 0 and stand.is_first):
            return wait_us
        line = self._lines.get(stand.place.line)
        ahead = line.ahead(stand.place, stand.weight) if line else NOBODY
        return expect_us(state, stand.amount, ahead, now_us)

    def admit(self, stand: Stand, now_us: int, *, more: bool) -> None:
        """It has what it waited for. `more`: there may be room for the next."""
        line = self._lines.get(stand.place.line)
        if line is None:
            return
        line.serve(stand.place, now_us)
        self._tidy(stand.place.line)
        if more:
            self.call(stand.place.line)

    def refuse(self, stand: Stand) -> None:
        """It waits for this limit."""
        name = stand.place.line
        self._lines.setdefault(name, Line()).join(stand.place, stand.weight)
        if stand.is_in and not stand.is_first:
            self.call(name)  # perhaps that one has missed its call

    def step_aside(self, stand: Stand) -> None:
        """It waits for another one."""
        if stand.is_in:
            self._lines[stand.place.line].step_aside(stand.place)
            self.call(stand.place.line)

    def leave(self, places: Iterable[Place]) -> None:
        for place in places:
            line = self._lines.get(place.line)
            if line is None:
                continue
            was_first = line.first() == place
            line.leave(place)
            self._tidy(place.line)
            if was_first:
                self.call(place.line)

    def call(self, name: str) -> None:
        """Call whoever is first in a line."""
        line = self._lines.get(name)
        if line and (first := line.first()):
            self._hear(first)

    def _tidy(self, name: str) -> None:
        if self._lines[name].is_over:
            del self._lines[name]
