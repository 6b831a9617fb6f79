"""The sequence of an engine's KV events: what to apply, what to ask for again, what is lost. Pure.

Batches are numbered from 0. Live ones may be missing or, after a replay, come twice; a number that goes
back means that the engine was started again.
"""

from typing import Literal

import msgspec

MOST_HELD = 10_000
"""Live batches that wait for a replay: as many as vLLM's own buffer has."""


class Apply(msgspec.Struct, frozen=True):
    payload: bytes
    how: Literal["live", "replayed"]


class Clear(msgspec.Struct, frozen=True):
    """Nothing is known any more: batches are lost, or the engine is new."""

    lost: int = 0
    """How many."""


class Ask(msgspec.Struct, frozen=True):
    """Ask for this batch and all after it."""

    start: int


Step = Apply | Clear | Ask


class Order:
    """Of one engine. Each call returns what to do, in order."""

    def __init__(self, *, replays: bool) -> None:
        """`replays`: whether it can be asked for what was missed."""
        self._replays = replays
        self._asking = False
        self._next: int | None = None
        """The batch that is due; None: any will do."""
        self._last_live = -1
        self._held: dict[int, bytes] = {}

    def begin(self) -> list[Step]:
        """Begin, or begin again: the engine may be another one."""
        self._next, self._last_live, self._asking = None, -1, self._replays
        self._held.clear()
        return [Clear(), Ask(0)] if self._replays else [Clear()]

    def live(self, number: int, payload: bytes) -> list[Step]:
        """A batch was published."""
        steps = self.begin() if number <= self._last_live else []
        self._last_live = number
        if self._next is not None and number < self._next:
            return steps  # a replay had it
        if not self._asking and self._next is not None and number > self._next and self._replays:
            self._asking = True
            steps.append(Ask(self._next))
        if not self._asking:
            steps += self._follow(number, payload, "live")
        elif len(self._held) < MOST_HELD:
            self._held[number] = payload
        return steps

    def replayed(self, number: int, payload: bytes) -> list[Step]:
        """A batch came that was asked for."""
        if self._next is not None and number < self._next:
            return []
        return self._follow(number, payload, "replayed")

    def ended(self) -> list[Step]:
        """There is no more to come of what was asked for, or it did not come in time."""
        self._asking = False
        steps: list[Step] = []
        for number, payload in sorted(self._held.items()):
            if self._next is None or number >= self._next:
                steps += self._follow(number, payload, "live")
        self._held.clear()
        return steps

    def _follow(self, number: int, payload: bytes, how: Literal["live", "replayed"]) -> list[Step]:
        lost = 0 if self._next is None else number - self._next
        self._next = number + 1
        applied = Apply(payload, how)
        return [Clear(lost), applied] if lost else [applied]
