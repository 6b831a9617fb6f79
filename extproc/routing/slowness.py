"""Whether an endpoint's time to first token has been too long for too long, by its own histogram.

The time that Envoy measures ends with the whole answer, and a long answer is no slow one: so it is
the engine's TTFT, queueing included, from which p99 is taken. Engines that tell none are never slow.

Readings are compared once for each slice of the time asked for, six to it: each slice in which
anything was answered must be too slow. One that is merely silent counts neither way.
"""

import msgspec

from engines.load import Load

SLICES = 6
QUANTILE = 0.99

Buckets = tuple[tuple[float, float], ...]


class SlownessRules(msgspec.Struct, frozen=True):
    ttft_p99_s: float | None = 10.0
    """Above this it is slow; None is never."""
    for_s: float = 60.0
    least: int = 5
    """Fewer first tokens than these in that time say nothing."""


def quantile(buckets: Buckets, share: float) -> float:
    """Interpolate within the bucket, as Prometheus does; in the last one, its lower bound.

    `buckets` are cumulative and hold something.
    """
    rank = share * buckets[-1][1]
    below, lower = 0.0, 0.0
    for upper, count in buckets:
        if count >= rank and count > below:
            if upper == float("inf"):
                return lower
            return lower + (upper - lower) * (rank - below) / (count - below)
        below, lower = count, upper
    return lower


class Slowness:
    """Of one endpoint."""

    __slots__ = ("_answers", "_began_s", "_buckets", "_rules", "_slow_since_s")

    def __init__(self, rules: SlownessRules) -> None:
        self._rules = rules
        self._began_s: float | None = None
        self._buckets: Buckets = ()
        self._slow_since_s: float | None = None
        self._answers = 0.0

    def look(self, load: Load, at_s: float) -> bool:
        """Take a reading; say whether it has now been too slow for long enough, once for each time."""
        rules, buckets = self._rules, load.ttft_buckets
        if rules.ttft_p99_s is None or not buckets:
            return False
        if self._began_s is None or len(buckets) != len(self._buckets):
            self._begin(buckets, at_s)
            return False
        if at_s - self._began_s < rules.for_s / SLICES:
            return False
        since = tuple(
            (upper, now - then)
            for (upper, now), (_, then) in zip(buckets, self._buckets, strict=True)
        )
        began_s = self._began_s
        self._begin(buckets, at_s)
        answers = since[-1][1]
        if answers > 0 and quantile(since, QUANTILE) > rules.ttft_p99_s:
            self._slow_since_s = began_s if self._slow_since_s is None else self._slow_since_s
            self._answers += answers
        elif answers:  # fast enough; or fewer than before, which is a restart
            self._slow_since_s, self._answers = None, 0.0
        return self._is_over(at_s)

    def _begin(self, buckets: Buckets, at_s: float) -> None:
        self._began_s, self._buckets = at_s, buckets

    def _is_over(self, at_s: float) -> bool:
        since_s = self._slow_since_s
        if (
            since_s is None
            or at_s - since_s < self._rules.for_s
            or self._answers < self._rules.least
        ):
            return False
        self._slow_since_s, self._answers = None, 0.0
        return True
