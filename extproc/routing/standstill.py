"""Whether an endpoint has requests in hand and makes no token of any of them: a GPU that hangs.

Its server goes on answering: health and metrics are those of a moment ago, so it looks idle, and whoever
leaves it says nothing of it. What tells is that our own requests are there and its counters stand still. Only
of engines that tell of first tokens: others count when a request ends, and a long answer is no standstill.
"""

from engines.load import Load


class Standstill:
    """Of one endpoint."""

    __slots__ = ("_for_s", "_made", "_since_s")

    def __init__(self, for_s: float | None) -> None:
        """`for_s`: how long it must last; None is never."""
        self._for_s = for_s
        self._made = (0.0, 0.0, 0.0)
        self._since_s = 0.0

    def look(self, load: Load, in_flight: int, at_s: float) -> bool:
        """Take a reading, and how many requests of ours are there; say whether it has now lasted for
        long enough, once for each time."""
        made = (load.started_s, load.prompt_tokens, load.generation_tokens)
        if made != self._made or not in_flight or not load.ttft_buckets:
            self._made, self._since_s = made, at_s
            return False
        if self._for_s is None or at_s - self._since_s < self._for_s:
            return False
        self._since_s = at_s
        return True
