"""Tells somebody that a budget has reached one of its levels, or that limits cannot be counted."""

from hashlib import blake2b

from alerts.alert import Alert, Kind, Severity
from extproc.limits.base import Settled, Settlement

LONGEST_SCOPE = 128
"""In an alert's id, which has 256 characters at most; of a longer one a digest."""
OUTAGE_MS = 10 * 60 * 1000
"""How long what begins is the same outage. Each worker notices it by requests of its own, and counters
that come and go are no news every minute."""


def notices(settlement: Settlement, tenant: str, now_ms: int) -> list[Alert]:
    """Make an alert for every level that this settlement has passed. The counters tell each passing
    to one worker alone, so its moment is part of what it is called."""
    return [
        notice(settled, level, tenant, now_ms)
        for settled in settlement.limits
        for level in settled.crossed
    ]


def notice(settled: Settled, level: int, tenant: str, now_ms: int) -> Alert:
    whose = settled.scope or "everybody"
    spent = "is used up" if level >= 100 else f"has reached {level} percent"
    then = " What does not fit is refused until the next period." if level >= 100 else ""
    return Alert(
        id=f"budget_level:{settled.name}:{shorten(settled.scope)}:{level}:{now_ms}",
        at_ms=now_ms,
        kind=Kind.BUDGET_LEVEL,
        severity=severity(level),
        title=f"Budget {settled.name} of {whose} {spent}",
        text=f"The budget {settled.name!r} of {whose} {spent}.{then}",
        tenant=tenant or None,
        facts={"limit": settled.name, "scope": settled.scope, "percent": level},
    )


def shorten(scope: str) -> str:
    if len(scope) <= LONGEST_SCOPE:
        return scope
    return blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def severity(level: int) -> Severity:
    if level >= 100:
        return Severity.CRITICAL
    return Severity.WARNING if level >= 80 else Severity.INFO


def outage(reason: str, now_ms: int) -> Alert:
    """Say that the counters do not answer. Every worker of a host says it, so its time names it."""
    return Alert(
        id=f"limits_fault:{now_ms // OUTAGE_MS * OUTAGE_MS}",
        at_ms=now_ms,
        kind=Kind.LIMITS_FAULT,
        severity=Severity.WARNING,
        title="The counters of limits do not answer",
        text="Until they do, each limit does what its `on_fault` says."
        " What is used meanwhile is counted when they are back.",
        facts={"reason": reason},
    )
