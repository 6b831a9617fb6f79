"""Who is told of attacks on models: whoever counts, whoever audits, and the client by a header."""

import time
from collections.abc import Callable, Mapping

import msgspec

from audit.record import AuditLog, Member
from extproc.dialects.place import write_place
from extproc.filters.audited import make_record
from extproc.ports import FirewallMeter
from extproc.request import Request, Scalar
from extproc.safety.injection.firewall import Verdict

MOST_RULES = 8
"""Told of a request."""


def tell(action: str, verdict: Verdict, version: str) -> Mapping[str, Scalar]:
    """Write what logs and the answer's header are told. Never the text."""
    rules = ",".join(verdict.rules[:MOST_RULES])
    return {"firewall": f"{action}; score={verdict.score:.2f}; rules={rules}; version={version}"}


class Told(msgspec.Struct, frozen=True):
    """Who is told of attacks."""

    meter: FirewallMeter | None = None
    audit: AuditLog | None = None
    clock: Callable[[], float] = time.time

    def tell(self, request: Request, action: str, verdict: Verdict, version: str) -> None:
        """Count it, and write it down. Raises: OSError."""
        worst = verdict.flagged[0]
        if self.meter:
            self.meter.attacked(verdict.families[0], worst.text.speaker, action)
        members: dict[str, Member] = {
            "score": verdict.score,
            "rules": ",".join(verdict.rules[:MOST_RULES]),
            "version": version,
            "place": write_place(worst.text.place),
        }
        self.write(request, f"firewall.{PAST[action]}", PAST[action], members)

    def write(
        self, request: Request, action: str, outcome: str, members: Mapping[str, Member]
    ) -> None:
        if self.audit is None:
            return
        self.audit.write(make_record(request, self.clock(), action, outcome, members))


PAST = {"deny": "denied", "tag": "tagged", "strip": "stripped", "route": "routed"}
