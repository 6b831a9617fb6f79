"""When the steps of one answer are due."""

import asyncio
import time
from math import inf
from typing import Protocol

# uvloop's timers count whole milliseconds: a shorter wait would return at once, and the stream
# would run ahead of its plan.
_SHORTEST_WAIT_S = 0.001


class Pace(Protocol):
    """Steps count from 0, which is the first token; what is to be sent before it has step -1."""

    def is_due(self, step: int) -> bool: ...

    async def until(self, step: int) -> None:
        """Wait for a step; for one that never comes, forever."""
        ...


class Stall:
    """Until when the whole engine stands still, in seconds of `time.monotonic`."""

    __slots__ = ("until_s",)

    def __init__(self) -> None:
        self.until_s = 0.0


class FixedPace:
    """The first token at a set time, the others at set distances, whatever else is going on.

    Waits are set against the plan and never against the last step, so lateness does not add up.
    """

    __slots__ = ("_first_s", "_itl_s", "_now_s", "_stall")

    def __init__(self, first_s: float, itl_s: float, stall: Stall) -> None:
        self._first_s = first_s
        self._itl_s = itl_s
        self._stall = stall
        self._now_s = time.monotonic()

    def is_due(self, step: int) -> bool:
        if step < 0:
            return True
        due_s = self._first_s + step * self._itl_s
        return due_s <= self._now_s and self._stall.until_s <= self._now_s

    async def until(self, step: int) -> None:
        due_s = self._first_s + step * self._itl_s
        if due_s == inf:
            await asyncio.get_running_loop().create_future()
        while True:
            wait_s = max(due_s, self._stall.until_s) - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(max(wait_s, _SHORTEST_WAIT_S))
            if self._stall.until_s <= time.monotonic():
                break
        self._now_s = max(time.monotonic(), due_s)
