"""What is written down of requests, and how long all audit records are kept."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from audit.record import LEAST_DAYS
from extproc.policy.base import Strict, Word

OnFault = Literal["deny", "continue"]


class AuditRequestsPolicy(Strict):
    """Whose requests get a record of their own. Refusals by a safety rule and values that are masked or
    shown again always do."""

    tenants: tuple[Word, ...] = ()  # all requests of these
    sample: Annotated[FiniteFloat, Field(gt=0, le=1)] | None = None  # a share of all others
    content: Literal["none", "masked"] | None = (
        None  # masked: also the texts, where every type of personal data is masked; none: only who and what
    )
    on_fault: OnFault | None = None  # when it cannot be written: continue; none: deny


class AuditPolicy(Strict):
    requests: AuditRequestsPolicy = AuditRequestsPolicy()
    retention_days: Annotated[int, Field(ge=1, le=36500)] | None = None  # none: 180, the least
    retention_by_law: Literal["shorter"] | None = (
        None  # you know of a law that wants less than 180 days
    )
    by_hand: bool | None = None  # nothing goes by itself, only with `headgate audit trim`

    @property
    def days(self) -> int:
        return self.retention_days or LEAST_DAYS

    @model_validator(mode="after")
    def check_days(self) -> Self:
        if self.days < LEAST_DAYS and self.retention_by_law is None:
            raise ValueError(
                f"keep audit records for {LEAST_DAYS} days at least (Regulation (EU) 2024/1689, "
                "Article 26(6)), or say `retention_by_law: shorter`"
            )
        return self
