"""Whether an endpoint has more than it can carry: its KV cache, its queue.

Each has an upper mark, above which it counts as full, and a lower one, below which it does not any
more: between them it stays what it was. No back-off: the next reading tells.
"""

import msgspec

from engines.load import Load


class PressureRules(msgspec.Struct, frozen=True):
    """Marks; None for an upper one is never."""

    kv_usage: float | None = 0.95
    kv_usage_back: float = 0.85
    waiting: int | None = 1000
    waiting_back: int = 500
    stale_s: float = 5.0
    """Readings older than this say nothing, neither so nor so."""


def crosses(was: bool, value: float, high: float | None, low: float) -> bool:
    """Say on which side a value is now, given on which it was."""
    return high is not None and (value > high or (was and value >= low))


class Pressure:
    """Of one endpoint."""

    __slots__ = ("_rules", "_seen_s", "kv_cache", "queue")

    def __init__(self, rules: PressureRules) -> None:
        self._rules = rules
        self._seen_s = 0.0
        self.kv_cache = False
        self.queue = False

    def look(self, load: Load, at_s: float) -> None:
        """Take a reading of that time."""
        rules = self._rules
        self._seen_s = at_s
        self.kv_cache = crosses(self.kv_cache, load.kv_usage, rules.kv_usage, rules.kv_usage_back)
        self.queue = crosses(self.queue, load.waiting, rules.waiting, rules.waiting_back)

    @property
    def until_s(self) -> float:
        """When the last reading says nothing any more."""
        return self._seen_s + self._rules.stale_s

    def pass_time(self, now_s: float) -> None:
        """Forget a reading that has become stale."""
        if now_s > self.until_s:
            self.kv_cache = self.queue = False

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(
            name for name, on in (("kv_cache", self.kv_cache), ("queue", self.queue)) if on
        )
