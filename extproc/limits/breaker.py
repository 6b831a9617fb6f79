"""When to leave alone what does not answer. Pure: it is told what happened."""

FAULTS = 3
"""In a row. One alone may be a hiccup, and costs its request no more than a deadline."""


class Breaker:
    """Open while nothing answers. Whoever uses it tries now and then, and says how it went."""

    def __init__(self, faults: int = FAULTS) -> None:
        self._most = faults
        self._faults = 0

    @property
    def open(self) -> bool:
        return self._faults >= self._most

    def fault(self) -> bool:
        """Say that there was no answer. True when this one opens it."""
        self._faults += 1
        return self._faults == self._most

    def well(self) -> bool:
        """Say that there was an answer. True when this one closes it."""
        was_open = self.open
        self._faults = 0
        return was_open
