"""What was missed while the shared counters could not be reached, until they have heard of it.

Order does not matter: all of it goes under settle keys, which make it count once, however often and
however late it is sent.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from extproc.limits.base import Charge, Spent

MOST = 10_000
"""Calls kept for later, about 5 MB. At 100 requests a second that is a minute; then the oldest go."""

TRIES = 5
"""Of each of them. What the server takes for wrong it will never do, and that must not go on for ever."""


class Missed(msgspec.Struct, frozen=True):
    """What the counters have yet to hear: a reservation, or without charges a settlement."""

    settle_key: str
    charges: tuple[Charge, ...] | None = None
    lease_s: float = 0.0
    spent: Spent | None = None
    forget: bool = False
    """Its key may come again: whoever waits asks more than once."""
    tries: int = 0


class Backlog:
    """Calls to be sent later."""

    def __init__(self, wake: Callable[[], object], most: int = MOST) -> None:
        """`wake` whoever sends them."""
        self._wake = wake
        self._most = most
        self.calls: deque[Missed] = deque()
        """The next one first."""
        self.dropped = 0
        """What had to be forgotten: there was too much, or it was never taken."""

    def add(self, missed: Missed) -> None:
        if len(self.calls) >= self._most:
            self.calls.popleft()
            self.dropped += 1
        self.calls.append(missed)
        self._wake()

    def put_back(self, missed: Missed) -> bool:
        """Send it later, behind the others, which may do better. False when it was tried for the last
        time."""
        if missed.tries + 1 < TRIES:
            self.calls.append(msgspec.structs.replace(missed, tries=missed.tries + 1))
            return True
        self.give_up()
        return False

    def give_up(self) -> None:
        """Note that one will never be sent."""
        self.dropped += 1

    def take_back(self, settle_key: str) -> None:
        """It asks again under its key: what should have been given back may be its own now."""
        kept = (one for one in self.calls if not (one.forget and one.settle_key == settle_key))
        self.calls = deque(kept)
