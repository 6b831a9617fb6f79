"""The line before a limit: who waits for room in it, and whose turn it is.

The next turn is for the class that has had least for its weight; of it for the tenant that has had
least; of its requests for the oldest. What each has had is a number that grows by what is taken: deficit
round robin, told on one scale instead of in rounds, so that a place is a number that processes can share.

Nobody starves. Who comes, or comes again, begins where the line is now: nothing is saved up by staying
away. Every turn moves the line on, so with requests of one size

    between two turns of a class, another has at most its weight over that of the class, and one more
    between two turns of a tenant, another of its class has at most one, and one more

and larger requests count for as much as they are larger.

A request may stand in several lines. Where one has room and another has not, it steps aside in the first,
so that the room is not lost, and comes back to its old place.
"""

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field

import msgspec

from extproc.limits.base import Place
from extproc.limits.state import NEVER, State

LEARNING = 8
"""How fast a class gets its turns is learned from about as many of them."""
KNOWN = 4
"""So many turns say enough; before, the limit's own pace is taken."""
LAST = "\uffff"
"""Behind every name."""


class Ahead(msgspec.Struct, frozen=True):
    """Who will probably be served before."""

    count: int = 0
    amount: int = 0
    """What they ask for together."""
    learned_us: int = 0
    """How long it takes by the turns of its class so far; 0 when too little is known."""


NOBODY = Ahead()


@dataclass(slots=True)
class Ranked:
    """Those of one class that wait. There while somebody does."""

    weight: int
    had: float
    """What it has had for its weight, on the scale of the line."""
    turn: float = 0.0
    """The last turn that was had, on the scale of the class."""
    waiting: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    """Turn and name, ascending."""
    last: dict[str, float] = field(default_factory=dict[str, float])
    """The turn of the last request of each tenant, where it is to come."""
    cost: int = 0
    """Of all together."""
    turns: int = 0
    """Pauses between turns that were learned from."""
    pause_us: float = 0.0
    served_us: int = 0

    def learn(self, now_us: int) -> None:
        if self.served_us:
            self.turns += 1
            pause_us = now_us - self.served_us
            self.pause_us += (pause_us - self.pause_us) / min(self.turns, LEARNING)
        self.served_us = now_us

    def share(self, count: int) -> int:
        """What so many of them ask for, on average."""
        return count * self.cost // len(self.waiting)


class Line:
    """One line. Nothing here waits or knows the time."""

    def __init__(self) -> None:
        self._scale = 0.0
        """How far it is: what the class had that was served last."""
        self._classes: dict[str, Ranked] = {}
        self._places: dict[str, Place] = {}
        self._aside: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._places)

    @property
    def is_over(self) -> bool:
        return not self._places and not self._aside

    def first(self) -> Place | None:
        """Say whose turn it is."""
        best: tuple[float, str, str] | None = None
        for priority, ranked in self._classes.items():
            _, name = ranked.waiting[0]
            due = ranked.had + self._places[name].cost / ranked.weight
            if best is None or (due, priority) < best[:2]:
                best = due, priority, name
        return self._places[best[2]] if best else None

    def has(self, place: Place) -> bool:
        return name_of(place) in self._places

    def join(self, place: Place, weight: int) -> None:
        """Stand in line; who stepped aside comes back to the old place."""
        name = name_of(place)
        ranked = self._classes.get(place.priority)
        if ranked is None:
            ranked = self._classes[place.priority] = Ranked(weight, self._scale)
        ranked.weight = weight
        if name in self._places:
            return
        turn = self._next_turn(ranked, place)
        if (aside := self._aside.pop(name, None)) is not None:
            turn = min(turn, aside)
        else:
            ranked.last[place.tenant] = turn
        insort(ranked.waiting, (turn, name))
        ranked.cost += place.cost
        self._places[name] = place

    def step_aside(self, place: Place) -> None:
        name = name_of(place)
        if name in self._places:
            self._aside[name] = self._take_out(name)[0]

    def leave(self, place: Place) -> None:
        """Give the place up. If it was the tenant's last, the next one gets its turn."""
        name = name_of(place)
        self._aside.pop(name, None)
        if name not in self._places:
            return
        turn, ranked = self._take_out(name)
        if ranked.last.get(place.tenant) == turn:
            ranked.last[place.tenant] = turn - place.cost
            if turn - place.cost <= ranked.turn:
                del ranked.last[place.tenant]

    def serve(self, place: Place, now_us: int) -> None:
        """Take note that it has what it waited for."""
        name = name_of(place)
        self._aside.pop(name, None)
        if name not in self._places:
            return
        turn, ranked = self._take_out(name)
        ranked.had += place.cost / ranked.weight
        self._scale = max(self._scale, ranked.had) if self._classes else 0.0
        ranked.turn = max(ranked.turn, turn)
        ranked.last = {of: last for of, last in ranked.last.items() if last > ranked.turn}
        ranked.learn(now_us)

    def ahead(self, place: Place, weight: int) -> Ahead:
        """Look who is before a place, taken or not."""
        own, others = self._classes.get(place.priority), dict(self._classes)
        others.pop(place.priority, None)
        rank = amount = learned_us = 0
        if own:
            rank = self._rank(own, place)
            amount = own.share(rank)
            learned_us = int(own.pause_us * (rank + 1)) if own.turns >= KNOWN else 0
        count = rank
        for other in others.values():
            some = min(len(other.waiting), (rank + 1) * other.weight // weight)
            count += some
            amount += other.share(some)
        return Ahead(count, amount, learned_us)

    def _rank(self, ranked: Ranked, place: Place) -> int:
        name = name_of(place)
        if name in self._places:
            turn = next(turn for turn, of in ranked.waiting if of == name)
            return bisect_left(ranked.waiting, (turn, name))
        return bisect_right(ranked.waiting, (self._next_turn(ranked, place), LAST))

    def _next_turn(self, ranked: Ranked, place: Place) -> float:
        return max(ranked.turn, ranked.last.get(place.tenant, 0.0)) + place.cost

    def _take_out(self, name: str) -> tuple[float, Ranked]:
        place = self._places.pop(name)
        ranked = self._classes[place.priority]
        index = next(index for index, (_, of) in enumerate(ranked.waiting) if of == name)
        turn, _ = ranked.waiting.pop(index)
        ranked.cost -= place.cost
        if not ranked.waiting:
            del self._classes[place.priority]
            if not self._classes:
                self._scale = 0.0
        return turn, ranked


def name_of(place: Place) -> str:
    """How a place is known within its line; of two with the same turn the lesser comes first, and
    settle keys begin with the time."""
    return f"{place.settle_key} {place.worker} {place.cost} {place.tenant}"


def read_name(line: str, priority: str, name: str) -> Place:
    """Undo `name_of`."""
    settle_key, worker, cost, tenant = name.split(" ", 3)
    return Place(line, priority, settle_key, worker, int(cost), tenant)


def expect_us(state: State, amount: int, ahead: Ahead, now_us: int) -> int:
    """Guess how long it takes for whoever cannot be served at once; NEVER."""
    expected_us = state.expect_us(amount, ahead.count, ahead.amount, now_us)
    if expected_us == NEVER:
        return NEVER
    if ahead.count:
        expected_us = max(expected_us, ahead.learned_us)
    return max(1, expected_us)
