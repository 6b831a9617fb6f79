"""How long, how often, how many connections. The default run takes about nine minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """Times are those of measuring; about half a second is added to every run for its start."""

    rounds: int
    """Of the closed loop. Odd, so that a median is a round that happened."""
    connections: tuple[int, ...] = (1, 16, 64)
    warmup_s: float = 0.5
    closed_s: float = 1.5
    rates: tuple[int, ...] = (100, 200)
    """Requests per second, open loop."""
    open_rounds: int = 5
    open_s: float = 4.0
    open_connections: int = 32
    """More than are ever busy at these rates."""
    stream_rounds: int = 3
    streams: int = 24
    stream_s: float = 2.5
    itl_ms: float = 10.0
    """Time between two events of one stream: 24 streams make 2 400 events a second, which leaves the
    machine time enough to keep them apart."""
    memory_warmup: int = 10_000
    memory_requests: int = 50_000
    memory_connections: int = 16

    @property
    def stream_tokens(self) -> int:
        """Long enough to outlast the window, the warm-up before it and a slow start."""
        return int((self.stream_s + self.warmup_s + 1.0) * 1000 / self.itl_ms)


DEFAULT = Plan(rounds=7)
QUICK = Plan(
    rounds=1,
    warmup_s=0.2,
    closed_s=0.6,
    open_rounds=1,
    open_s=1.0,
    stream_rounds=1,
    stream_s=0.8,
    memory_warmup=2_000,
    memory_requests=4_000,
)
"""Shows that everything works, within a minute; its figures mean little."""


def rotated(those: Sequence[T], turn: int) -> Sequence[T]:
    """The same, beginning with another one."""
    start = turn % len(those)
    return (*those[start:], *those[:start])
