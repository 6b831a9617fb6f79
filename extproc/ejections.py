"""Tells people and Prometheus what the watchdog has found: the edge of `routing/health.py`."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from extproc.policy.status import Ailing
from extproc.routing.condition import Condition
from extproc.routing.health import Change, Watchdog
from telemetry.logs import Event, EventLog

CONDITIONS: tuple[Condition, ...] = ("ready", "half_open", "open", "draining")

log = EventLog(__name__)


class Levels(Protocol):
    """Takes a number, by label values."""

    def set(self, value: float, *values: str) -> None: ...
    def forget(self, *values: str) -> None: ...


class Counts(Protocol):
    """Adds up, by label values."""

    def add(self, *values: str) -> None: ...


class Ejections:
    """Of one worker. `tell` is called about once a second."""

    def __init__(self, states: Levels, ejections: Counts) -> None:
        """`states` has the labels pool and state, `ejections` pool and reason."""
        self._states = states
        self._ejections = ejections
        self._told: Sequence[str] = ()
        """The pools of the last time."""

    def tell(self, watchdog: Watchdog, pools: Sequence[str], now_s: float) -> Ailing:
        """Tell all that is new; return the endpoints that something speaks against."""
        for gone in set(self._told).difference(pools):
            for condition in CONDITIONS:
                self._states.forget(gone, condition)
        self._told = pools
        ailing = dict[str, dict[str, tuple[Condition, tuple[str, ...]]]]()
        for pool in pools:
            states = watchdog.states(pool, now_s)
            if ill := {name: each for name, each in states.items() if each[1]}:
                ailing[pool] = ill
            counts = Counter(condition for condition, _ in states.values())
            for condition in CONDITIONS:
                self._states.set(counts[condition], pool, condition)
        for change in watchdog.changes():
            self._tell_one(change)
        return ailing

    def _tell_one(self, change: Change) -> None:
        event, reasons = read(change)
        if event is None:
            return
        told = {"pool": change.pool, "endpoint": change.endpoint, "reasons": ",".join(reasons)}
        log.warning(event, **told)
        if event is Event.ENDPOINT_EJECTED:
            for reason in reasons:
                self._ejections.add(change.pool, reason.partition(":")[0])


def read(change: Change) -> tuple[Event | None, Sequence[str]]:
    """Say what a change means to people, and which reasons it is about; None: nothing new."""
    if added := [each for each in change.reasons if each not in change.before]:
        return Event.ENDPOINT_EJECTED, added
    if change.now == "half_open":
        return Event.ENDPOINT_TRIED, change.reasons
    if change.was == "half_open" and change.now == "open":
        return Event.ENDPOINT_EJECTED, change.reasons
    if not change.reasons:
        return Event.ENDPOINT_READMITTED, change.before
    return None, ()
