"""One thing that happened and must be accounted for. Never a prompt, an answer or a value that was
masked, unless the policy wants records of requests; then what they hold is masked."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

LEAST_DAYS = 180
"""How long records are kept, if nothing else is said. Deployers of high-risk systems keep logs for at
least six months: Regulation (EU) 2024/1689, Article 26(6)."""

Member = str | int | float | bool


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What, by whom, to what, with which result."""

    at_ms: int
    """Milliseconds since the epoch."""
    action: str
    """Dotted, the part of the system first: `pii.masked`, `pii.unmasked`, `firewall.denied`,
    `moderation.cut`, `cache.hit`, `policy.changed`, `key.revoked`."""
    actor: str
    """Key id or user for requests; the operator's account for commands; `headgate` for itself."""
    object: str = ""
    """What it was done to: a rule, a key, a policy version, a model."""
    outcome: str = ""
    """`denied`, `masked`, `tagged`, `cut`, `done`, ..."""
    tenant: str = ""
    request_id: str = ""
    settle_key: str = ""
    members: Mapping[str, Member] = {}
    """Counts and names that the action has of its own: how many values of which type."""


class AuditLog(Protocol):
    """Where records go."""

    def write(self, record: Record) -> None:
        """Keep it: once this returns it is on disk or will be within a second, killed worker or not.

        Raises: OSError. What must not happen unrecorded then does not happen.
        """
        ...
