"""What the algorithms have in common: the shape of a state, and what a reservation remembers."""

from typing import Protocol

import msgspec

NEVER = -1
"""A wait that does not end: more is asked for than there will ever be."""


class Hold(msgspec.Struct, frozen=True):
    """What a reservation holds of one state, remembered until it is settled."""

    settle_key: str
    amount: int
    at_us: int
    until_us: int
    """When its lease ends."""
    strict: bool
    mark: int = 0
    """For the algorithm to find its way back: see each."""


class Look(msgspec.Struct, frozen=True):
    """How a state looks from outside."""

    remaining: int
    reset_us: int


class State(Protocol):
    """What stands taken from one limit in one scope. Immutable; times are microseconds since 1970."""

    def wait_us(self, amount: int, now_us: int) -> int:
        """0 when it fits now; how long until it does; NEVER."""
        ...

    def expect_us(self, amount: int, count: int, before: int, now_us: int) -> int:
        """The same behind so many others who want `before` together: a guess. 0 when nobody can
        know; NEVER."""
        ...

    def take(self, hold: Hold) -> tuple["State", Hold]:
        """With the hold taken, fit or not; and the hold with its mark."""
        ...

    def settle(self, hold: Hold, used: int, now_us: int) -> tuple["State", tuple[int, ...]]:
        """With the truth in place of the hold; and the alert levels that this has passed."""
        ...

    def look(self, now_us: int) -> Look: ...

    def gone_us(self, now_us: int) -> int:
        """The moment from which on it is the same as none, if nothing happens until then."""
        ...


class Rule(Protocol):
    """A limit, made ready for counting."""

    def state(self, old: object, now_us: int) -> State:
        """Bring a state up to now and under this rule; begin one when `old` is None."""
        ...

    def anew(self, now_us: int) -> State | None:
        """The state for settling a hold whose own is gone: None when settling changes nothing."""
        ...
