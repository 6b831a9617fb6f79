"""Which policy was in force when: one audit record for each version, by the one process that leads the
others. Names of what changed, never values."""

import time
from collections.abc import Callable

from audit.record import AuditLog, Member, Record
from extproc.policy.diff import compare
from extproc.policy.models import Policy
from telemetry.logs import Event, EventLog

MOST_CHARS = 2000
"""Of the names of entries: a new policy may have thousands of keys."""

_log = EventLog(__name__)


class PolicyTrail:
    """It never stops a policy: what is wrong with the disk is logged. Workers have it by then."""

    def __init__(self, audit: AuditLog, clock: Callable[[], float] = time.time) -> None:
        self._audit = audit
        self._clock = clock

    def begun(self, policy: Policy) -> None:
        self._write("policy.loaded", policy.version, "done", {})

    def changed(self, before: Policy, after: Policy) -> None:
        changes = compare(before, after)
        sections = dict.fromkeys(change.section for change in changes)
        entries = dict.fromkeys(
            f"{change.kind} {change.section} {change.entry}" for change in changes if change.entry
        )
        members: dict[str, Member] = {
            "before": before.version,
            "sections": ", ".join(sections),
            "changes": len(changes),
        }
        if entries:
            members["entries"] = ", ".join(entries)[:MOST_CHARS]
        self._write("policy.changed", after.version, "done", members)

    def rejected(self, version: str, before: str) -> None:
        self._write("policy.rejected", version, "rejected", {"before": before})

    def _write(self, action: str, version: str, outcome: str, members: dict[str, Member]) -> None:
        now_ms = round(self._clock() * 1000)
        try:
            self._audit.write(Record(now_ms, action, "headgate", version, outcome, members=members))
        except OSError as fault:
            _log.error(Event.AUDIT_NOT_WRITTEN, action=action, reason=str(fault))
