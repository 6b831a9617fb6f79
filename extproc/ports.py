"""What is outside, as the inside sees it. `stores/` and `telemetry` implement these."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engines.watch.messages import Ended, Picked, Used
from extproc.conditions import Known
from extproc.limits.base import Charge, Settlement, Verdict
from extproc.request import Request
from extproc.routing.candidate import Candidate
from extproc.routing.condition import Condition
from extproc.routing.prefixes import Prefixes
from extproc.routing.record import DecisionRecord
from extproc.safety.pii.finding import Finding


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


class Detector(Protocol):
    """Finds in texts what no pattern can: names."""

    async def find(self, texts: Sequence[str]) -> Sequence[Sequence[Finding]]:
        """Find them in each text, in code points. Raises: DetectorError."""
        ...


class PiiMeter(Protocol):
    """Numbers about personal data."""

    def found(self, kind: str, action: str, count: int) -> None:
        """Count values by their type and by what was done with them."""
        ...


class FirewallMeter(Protocol):
    """Numbers about attacks on models."""

    def attacked(self, family: str, speaker: str, action: str) -> None:
        """Count a request by what the worst of it is, who said that, and what was done."""
        ...


class CacheMeter(Protocol):
    """Numbers about answers that are kept."""

    def looked(self, result: str, reason: str) -> None:
        """Count a request: `hit` and its kind, `miss`, `bypass` and why, or a `fault`."""
        ...

    def kept(self, result: str, size: int, seconds: float) -> None:
        """Count an answer by what became of it: `kept`, `unfit`, `dropped` or `fault`; its bytes, and
        the CPU time that reading it took."""
        ...

    def evicted(self, count: int) -> None: ...


class ModerationMeter(Protocol):
    """Numbers about moderation."""

    def moderated(self, rule: str, where: str, action: str) -> None:
        """Count a request or an answer that a rule has something against, by what was done."""
        ...

    def asked(self, service: str, result: str) -> None:
        """Count a question to a service: `ok` or `fault`."""
        ...


class Journal(Protocol):
    """The record, kept before a request leaves, that it may cost something."""

    def record(self, request: Request, policy: str) -> None:
        """Append one entry. Raises: OSError."""
        ...


class Decisions(Protocol):
    """The records of why requests went where they went."""

    def put(self, record: DecisionRecord) -> None:
        """Have it kept, or drop it: this never waits and never fails."""
        ...


class EngineView(Protocol):
    """What is known of endpoints. Never blocks: it looks at what was last seen."""

    def candidates(self, pool: str, model: str = "") -> Sequence[Candidate]:
        """Name those that may be sent something; perhaps none. Do not keep it: they change in place."""
        ...

    def prefixes(self, pool: str) -> Prefixes:
        """What is likely to be in the caches of this pool's endpoints."""
        ...

    def knows(self, endpoint: str) -> bool:
        """Tell whether it belongs to any pool, candidate or not."""
        ...

    def conditions(self, pool: str) -> Mapping[str, tuple[Condition, Sequence[str]]]:
        """Tell of every endpoint of this pool, candidate or not, how it is and why."""
        ...

    def picked(self, picked: Picked) -> None:
        """Count on it, and tell the other workers of this host."""
        ...

    def ended(self, ended: Ended) -> None:
        """Count on it no longer, learn from its failures, and tell the others."""
        ...

    def tell_ends(self, hear: Callable[[Ended], None]) -> None:
        """Tell of every end that any worker of this host is told of: from now on to this one alone."""
        ...

    def used(self, used: Used) -> None:
        """Tell what an engine has counted, here and to the other workers of this host."""
        ...

    def tell_used(self, hear: Callable[[Used], None]) -> None:
        """Tell of all that any worker of this host tells: from now on to this one alone."""
        ...

    def running(self, key: str) -> None:
        """Take note, and tell the others, that a request still runs."""
        ...


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an authority says of one request."""

    allows: bool
    reason: str = ""
    """For the client, when it refuses."""


class Asker(Protocol):
    """The gateway's own door."""

    async def ask(
        self, path: str, headers: Mapping[str, str], body: bytes, within_s: float
    ) -> bytes:
        """Post it; return the body of a 200. Raises: AskError for anything else."""
        ...


class Authority(Protocol):
    """Somebody else who decides."""

    async def ask(self, known: Known) -> Ruling:
        """Wait for the ruling, within a deadline of its own.

        Raises:
            AuthorityError: There is none: too late, not there, or no sense in it.
        """
        ...
