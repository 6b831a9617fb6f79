"""What is told: one thing that happened, in words for people and facts for programs."""

from enum import StrEnum
from typing import Annotated

import msgspec


class Kind(StrEnum):
    """What an alert is about."""

    BUDGET_LEVEL = "budget_level"
    """A money or token budget has reached one of its levels."""
    COST_REQUEST = "cost_request"
    """A single request cost more than a rule allows."""
    COST_DAY = "cost_day"
    """A tenant's day is heading above its forecast."""
    COST_MONTH = "cost_month"
    """A tenant's month is heading above its forecast."""
    LEDGER_DRIFT = "ledger_drift"
    """The ledger has booked more than an engine has counted."""
    UNATTRIBUTED = "unattributed"
    """An engine has counted more than the ledger can explain."""
    ABUSE = "abuse"
    """A client was banned, or an input filter was switched on."""
    LIMITS_FAULT = "limits_fault"
    """Limits work by their fallback, because their store does not answer."""


class Severity(StrEnum):
    """How bad it is, mildest first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return tuple(Severity).index(self)


Fact = str | int | float | bool


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing to tell. Whoever raises it may do so as often as it likes: an id is told once."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    """Names what happened, not that it was noticed: `budget_level:acme:2026-11:80`."""
    at_ms: int
    """When it was noticed: milliseconds since the epoch."""
    kind: Kind
    severity: Severity
    title: str
    """One line."""
    text: str
    """A sentence or two: what it means and what to do."""
    tenant: str | None = None
    """Whose it is; None concerns the whole gateway."""
    facts: dict[str, Fact] = msgspec.field(default_factory=dict[str, Fact])
    """The numbers behind it, flat, for programs and the curious."""
