"""What a fault may do to requests, and to which."""

from dataclasses import dataclass

from faults.answer import Answer

FLUSHED_S = 1.0
"""Envoy writes its log every 0.1 s. On a busy machine that may be later; by now it has."""
NOTICED_S = 0.5
"""After all is well again, a client may still be told of what happened before."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """What a fault may do to the requests that it meets."""

    statuses: frozenset[int] = frozenset()
    """Answered with, instead of what was due."""
    broken: bool = False
    """Connections refused, lost or cut."""
    endless: bool = False
    """Nobody tells how they ended: rows `unsettled`, and no row for what never left for an engine."""


NONE = Excuse()


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when something was broken: monotonic seconds."""

    begun_s: float
    over_s: float

    def met(self, answer: Answer) -> bool:
        begun_s, over_s = self.begun_s - FLUSHED_S, self.over_s + NOTICED_S
        return answer.sent_s <= over_s and answer.ended_s >= begun_s
