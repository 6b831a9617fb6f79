"""What one run of the load generator measured: the JSON between `load.py` and `phases.py`."""

from functools import cached_property

import msgspec

from bench.stats import percentile


class Sample(msgspec.Struct, frozen=True, dict=True):
    """All figures are of the measuring window, which begins after the warm-up."""

    requests: int
    """Answers that came, whatever their status."""
    errors: int
    """Of these, the ones that were not 200."""
    seconds: float
    latencies_us: list[int]
    """In no order; one for each answer."""
    cpu_s: dict[str, float]
    """By process, as named on the command line; `load` is the generator itself."""
    events: int = 0
    """Events of streams."""
    reads: int = 0
    """Pieces in which they came: near `events`, or chunks were joined on the way."""

    @cached_property
    def ordered_us(self) -> list[int]:
        return sorted(self.latencies_us)

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds

    def latency_us(self, share: float) -> float:
        return percentile(self.ordered_us, share)

    def cpu_us(self, process: str) -> float:
        """CPU time of one process for each request."""
        return self.cpu_s[process] * 1e6 / self.requests
