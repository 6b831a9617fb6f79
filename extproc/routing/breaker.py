"""A circuit breaker: what fails too often gets nothing for a while, then a few tries.

    closed --too many failures--> open --back-off over--> half_open --one success--> closed
                                    ^---------- one failure ----------'

One stands before each endpoint and one before each model there. A pure state machine: every time is
given (monotonic seconds), and time passes only when somebody says so.
"""

from collections import deque
from math import inf
from typing import Literal

import msgspec

State = Literal["closed", "half_open", "open"]

SLICES = 10
"""The window of failures moves in tenths of its length: ten pairs of numbers for any traffic."""
MOST_DOUBLINGS = 30
"""Of the back-off: a bound for the exponent, far beyond any bound in seconds."""


class BreakerRules(msgspec.Struct, frozen=True):
    """When it opens, and for how long."""

    errors: float | None = 0.5
    """Share of failed requests, above which it opens; None is never."""
    over_s: float = 10.0
    least: int = 5
    """Fewer requests than these in that time say nothing."""
    open_s: float = 5.0
    open_most_s: float = 60.0
    """Each failure when half open doubles the time it stays open, up to this."""
    trials: int = 3
    """Requests let through when half open, in each stretch of `open_s`."""


class Tally:
    """How many went well and how many did not, in a moving window."""

    __slots__ = ("_slice_s", "_slices", "failed", "well")

    def __init__(self, over_s: float) -> None:
        self._slice_s = over_s / SLICES
        self._slices = deque[list[int]]()  # number of the slice, well, failed
        self.well = 0
        self.failed = 0

    def add(self, *, ok: bool, now_s: float) -> None:
        number = int(now_s / self._slice_s)
        self.forget(now_s)
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append([number, 0, 0])
        # Told late, across a slice's end: the difference is within the window's own coarseness.
        self._slices[-1][1 if ok else 2] += 1
        if ok:
            self.well += 1
        else:
            self.failed += 1

    def forget(self, now_s: float) -> None:
        """Drop what is older than the window."""
        oldest = int(now_s / self._slice_s) - SLICES
        while self._slices and self._slices[0][0] <= oldest:
            _, well, failed = self._slices.popleft()
            self.well -= well
            self.failed -= failed

    def clear(self) -> None:
        self._slices.clear()
        self.well = self.failed = 0

    @property
    def total(self) -> int:
        return self.well + self.failed


class Breaker:
    """Three states. `reason` is why it is not closed; `until_s` when time alone changes something."""

    __slots__ = (
        "_doublings", "_left", "_rules", "_since_s", "_tally", "reason", "state", "until_s",
    )  # fmt: skip

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._tally = Tally(rules.over_s)
        self._doublings = 0
        self._since_s = -inf
        self._left = 0
        self.state: State = "closed"
        self.reason = ""
        self.until_s = inf

    @property
    def admits(self) -> bool:
        return self.state == "closed" or (self.state == "half_open" and self._left > 0)

    def is_live(self, now_s: float) -> bool:
        """Whether it has anything to say: it is not closed, or requests have ended of late."""
        self._tally.forget(now_s)
        return self.state != "closed" or self._tally.total > 0

    def ended(self, *, ok: bool, began_s: float, now_s: float, reason: str = "errors") -> None:
        """Learn how a request ended. What began before it was half open proves nothing then."""
        self.pass_time(now_s)
        if self.state == "closed":
            self._tally.add(ok=ok, now_s=now_s)
            if not ok and self._fails_too_often():
                self.trip(reason, now_s)
        elif self.state == "half_open" and began_s >= self._since_s:
            if ok:
                self._close(now_s)
            else:
                self.trip(self.reason, now_s)

    def _fails_too_often(self) -> bool:
        share, tally = self._rules.errors, self._tally
        return (
            share is not None
            and tally.total >= self._rules.least
            and tally.failed > share * tally.total
        )

    def trip(self, reason: str, now_s: float) -> None:
        """Open it: it has seen too many failures, or somebody else has seen something."""
        if self.state == "closed" and now_s - self._since_s > self._rules.open_most_s:
            self._doublings = 0  # it was well for long: this is a new story
        length_s = min(self._rules.open_s * 2.0**self._doublings, self._rules.open_most_s)
        self._doublings = min(self._doublings + 1, MOST_DOUBLINGS)
        self.state, self.reason = "open", reason
        self._since_s, self.until_s = now_s, now_s + length_s
        self._tally.clear()

    def _close(self, now_s: float) -> None:
        self.state, self.reason = "closed", ""
        self._since_s, self.until_s = now_s, inf

    def picked(self, now_s: float) -> None:
        """Count a try."""
        self.pass_time(now_s)
        if self.state == "half_open":
            self._left -= 1

    def pass_time(self, now_s: float) -> None:
        """End a back-off that is over, and renew tries of which nobody has told the end."""
        if now_s < self.until_s:
            return
        if self.state == "open":
            self.state, self._since_s = "half_open", now_s
        self._left = self._rules.trials
        self.until_s = now_s + self._rules.open_s
