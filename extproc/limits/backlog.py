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
    """Gives back what was refused. Its key may come again, for a request may ask more than once."""
    tries: int = 0


class Backlog:
    """Calls to be sent later."""

    def __init__(self, wake: Callable[[], object], most: int = MOST) -> None:
        """`wake` whoever sends them."""
        self._wake = wake
        self._most = most
        self._revocable: dict[str, Missed] = {}
        """What gives back a refusal, by its key: kept or on its way."""
        self.calls: deque[Missed] = deque()
        """The next one first."""
        self.dropped = 0
        """What had to be forgotten: there was too much, or it was never taken."""

    def add(self, missed: Missed) -> None:
        if len(self.calls) >= self._most:
            self.done(self.calls.popleft())
            self.dropped += 1
        self.take_back(missed.settle_key)
        self._keep(missed)
        self._wake()

    def take(self) -> Missed | None:
        """Return the next one. It is on its way until it is `done` or `put_back`."""
        while self.calls:
            missed = self.calls.popleft()
            if self._is_wanted(missed):
                return missed
        return None

    def done(self, missed: Missed) -> None:
        if self._revocable.get(missed.settle_key) is missed:
            del self._revocable[missed.settle_key]

    def put_back(self, missed: Missed) -> bool:
        """Send it later, behind the others, which may do better. False when it was tried for the last
        time."""
        if not self._is_wanted(missed):
            return True
        if missed.tries + 1 < TRIES:
            self._keep(msgspec.structs.replace(missed, tries=missed.tries + 1))
            return True
        self.give_up(missed)
        return False

    def give_up(self, missed: Missed) -> None:
        """Note that it will never be sent."""
        self.done(missed)
        self.dropped += 1

    def take_back(self, settle_key: str) -> None:
        """It asks again under its key, or has been let in: what should have been given back is its own
        now."""
        self._revocable.pop(settle_key, None)

    def _keep(self, missed: Missed) -> None:
        self.calls.append(missed)
        if missed.forget:
            self._revocable[missed.settle_key] = missed

    def _is_wanted(self, missed: Missed) -> bool:
        return not missed.forget or self._revocable.get(missed.settle_key) is missed
