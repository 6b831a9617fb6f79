"""Time spent on a decision, less the time spent waiting for others."""

import time
from collections.abc import Generator
from contextlib import contextmanager


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._begun_s = time.perf_counter()
        self._paused_s = 0.0

    def read_s(self) -> float:
        """Seconds so far, pauses taken out."""
        return time.perf_counter() - self._begun_s - self._paused_s

    @contextmanager
    def paused(self) -> Generator[None]:
        stopped_s = time.perf_counter()
        try:
            yield
        finally:
            self._paused_s += time.perf_counter() - stopped_s
