"""Time spent on a decision, less the time spent waiting for others."""

from time import perf_counter


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._begun_s = perf_counter()
        self._stopped_s = 0.0

    def stop(self) -> None:
        """Stand still, until `go_on`."""
        self._stopped_s = perf_counter()

    def go_on(self) -> None:
        self._begun_s += perf_counter() - self._stopped_s

    def read_s(self) -> float:
        """Seconds it has run."""
        return perf_counter() - self._begun_s
