"""What is outside, as the inside sees it. `stores/` and `telemetry` implement these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from extproc.conditions import Known
from extproc.limits.base import Charge, Settlement, Verdict
from extproc.request import Request


class Meter(Protocol):
    """Numbers about ourselves. Called on the hot path: each a dict look-up and an addition."""

    def decided(self, outcome: str, seconds: float) -> None:
        """Count one decision: `forward`, `deny`, `reply` or `fault`; time spent in filters."""
        ...

    def filter_fault(self, name: str) -> None: ...

    def wire_fault(self, kind: str) -> None: ...


class LimitMeter(Protocol):
    """Numbers about limits."""

    def reserved(self, charges: Sequence[Charge], verdict: Verdict) -> None:
        """Count what each limit said."""
        ...

    def settled(self, settlement: Settlement) -> None:
        """Count what was used, given back, and used beyond what was reserved."""
        ...

    def counted(self, ratio: float, model: str, counted_by: str) -> None:
        """Note how a count of ours compares with the engine's: 1.0 is right."""
        ...


class Journal(Protocol):
    """The record, kept before a request leaves, that it may cost something."""

    def record(self, request: Request, policy: str) -> None:
        """Append one entry. Raises: OSError."""
        ...


class EngineView(Protocol):
    """What is known of the health of endpoints. Never blocks: it looks at what was last seen."""

    def healthy(self, endpoints: Sequence[str]) -> Sequence[str]:
        """Keep those that may be named to Envoy, in the same order; perhaps none."""
        ...

    def suspect(self, endpoint: str) -> None:
        """Take note that Envoy could not get an answer from it just now."""
        ...


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an authority says of one request."""

    allows: bool
    reason: str = ""
    """For the client, when it refuses."""


class Authority(Protocol):
    """Somebody else who decides."""

    async def ask(self, known: Known) -> Ruling:
        """Wait for the ruling, within a deadline of its own.

        Raises:
            AuthorityError: There is none: too late, not there, or no sense in it.
        """
        ...
