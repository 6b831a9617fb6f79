"""How long the ledger keeps entries, who may read whose, and how often it is signed and compared."""

from typing import Annotated

from pydantic import Field, FiniteFloat

from extproc.policy.base import Strict, Word

Days = Annotated[int, Field(ge=1, le=36500)]


class RetentionPolicy(Strict):
    """Days that entries are kept, by the region of who asked. Sums stay."""

    default_days: Days | None = None  # none: for ever
    regions: dict[Word, Days] = Field(default_factory=dict)
    by_hand: bool | None = None  # nothing goes by itself, only with `headgate ledger trim`


class LedgerPolicy(Strict):
    retention: RetentionPolicy = RetentionPolicy()
    readers_of_all: tuple[Word, ...] = ()  # groups that may read every tenant's usage
    root_interval_s: Annotated[FiniteFloat, Field(ge=1, le=86400)] | None = None  # none: 3600
    reconcile_interval_s: Annotated[FiniteFloat, Field(ge=0.5, le=3600)] | None = None  # none: 20
