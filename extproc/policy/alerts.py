"""Whom to tell, of what: webhooks, rules for costs, and what the ledger and the engines may differ by."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, model_validator

from extproc.policy.base import Secret, Strict, Word
from extproc.policy.catalog import read_price
from extproc.policy.limits import check_zone

KindName = Literal[
    "budget_level",
    "cost_request",
    "cost_day",
    "cost_month",
    "ledger_drift",
    "unattributed",
    "abuse",
    "limits_fault",
]
"""The kinds of `alerts.alert.Kind`."""
Amount = Annotated[
    Decimal, BeforeValidator(read_price), Field(gt=0, le=1_000_000, decimal_places=6)
]
"""US dollars, exact."""


class WebhookPolicy(Strict):
    """Where alerts go. Its URL is a secret: whoever knows it can write there."""

    name: Word  # what logs and metrics call it
    url: Secret
    shape: Literal["slack", "wecom", "dingtalk", "json"] = "slack"  # slack: Mattermost too
    kinds: tuple[KindName, ...] = ()  # none: all
    severity: Literal["info", "warning", "critical"] = "info"  # this and worse
    tenants: tuple[Word, ...] = ()  # alerts of theirs alone; none: all alerts
    secret: Secret | None = None  # DingTalk's signing key

    @model_validator(mode="after")
    def check_secret(self) -> Self:
        if self.secret is not None and self.shape != "dingtalk":
            raise ValueError("secret is DingTalk's signing key; other shapes have none")
        return self


class CostRule(Strict):
    """What costs more than usual. Either a bound for each single request, or a tenant's day or
    month that is heading above what its last weeks let expect."""

    name: Word
    request_usd: Amount | None = None  # a single request that costs this or more
    per: Literal["day", "month"] | None = None
    above_forecast: Annotated[FiniteFloat, Field(ge=1.05, le=100)] | None = None  # none: 1.5
    min_usd: Amount | None = None  # periods that cost less are nobody's worry; none: 1
    zone: Annotated[str, AfterValidator(check_zone)] | None = None  # of periods; none: UTC
    tenants: tuple[Word, ...] = ()  # none: each tenant

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if (self.request_usd is None) == (self.per is None):
            raise ValueError("give exactly one of request_usd and per")
        if self.per is None and {"above_forecast", "min_usd", "zone"} & self.model_fields_set:
            raise ValueError("above_forecast, min_usd and zone are for a day or a month")
        return self


class DriftPolicy(Strict):
    """How far ledger and engines may be apart before somebody is told: by both of tokens and share,
    for so long."""

    tokens: Annotated[int, Field(ge=0)] = 1000
    share: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.001  # of what the engine has counted
    for_s: Annotated[FiniteFloat, Field(ge=0, le=86400)] = 15.0


class AlertsPolicy(Strict):
    webhooks: tuple[WebhookPolicy, ...] = ()
    cost: tuple[CostRule, ...] = ()
    drift: DriftPolicy | None = None  # none: as if it stood there empty
