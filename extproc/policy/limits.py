"""Limits on tokens, requests, money and on what runs at once."""

import re
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from extproc.limits.base import LARGEST, Algorithm, Calendar, Limit, OnFault, Unit
from extproc.limits.reach import Reach
from extproc.policy.access import OperationName
from extproc.policy.base import Name, Strict, Word
from extproc.policy.catalog import read_price

Owner = Literal["all", "tenant", "project", "user", "key", "model", "pool"]
Count = Annotated[int, Field(ge=1, le=10**15)]
Dollars = Annotated[
    Decimal, BeforeValidator(read_price), Field(gt=0, le=9_000_000, decimal_places=9)
]

PERIODS_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 31 * 86400

MEASURES: dict[str, Unit] = {unit.value: unit for unit in Unit}


def check_every(text: str) -> str:
    match = DURATION.fullmatch(text)
    if text not in {*PERIODS_S, "month"} and match is None:
        raise ValueError("is second, minute, hour, day, week, month, or such as 30s, 5m, 12h, 7d")
    if match and int(match[1]) * UNITS_S[match[2]] > LONGEST_S:
        raise ValueError("is 31 days at most")
    return text


def check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise ValueError(f"there is no time zone {name!r}: write it as Europe/Berlin") from None
    return name


def list_owners(given: object) -> object:
    return (given,) if isinstance(given, str) else given


Every = Annotated[str, AfterValidator(check_every)]
Zone = Annotated[str, AfterValidator(check_zone)]
Percent = Annotated[int, Field(ge=1, le=1000)]


class LimitPolicy(Strict):
    """One limit: how much, of what, how often, for whom. A request meets all that are for it, and
    takes from all of them or from none."""

    name: Word  # what clients, logs and metrics are told
    per: Annotated[tuple[Owner, ...], BeforeValidator(list_owners)] = ("all",)  # each has its own
    tokens: Count | None = None  # exactly one of these six: of prompt and answer together
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    requests: Count | None = None
    concurrent: Annotated[int, Field(ge=1, le=1_000_000)] | None = None  # at once
    usd: Dollars | None = None
    every: Every | None = None  # second, minute, hour, day, week, month, or 30s, 5m, 12h, 7d
    algorithm: Algorithm | None = None  # none: the one that is usual for the period
    burst: Count | None = None  # what a bucket holds; none: the amount
    zone: Zone = "UTC"  # of calendar periods
    tenants: tuple[Word, ...] = ()  # for whom it is; none: everybody
    projects: tuple[Word, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[Word, ...] = ()
    keys: tuple[Word, ...] = ()
    models: tuple[Name, ...] = ()
    pools: tuple[Word, ...] = ()
    operations: tuple[OperationName, ...] = ()
    strict: bool = False  # reserves the longest answer possible: never exceeded, less is admitted
    shadow: bool = False  # counts and reports, refuses nothing
    on_fault: OnFault = "local"  # when the counters are gone: a share of it here, deny, or open
    alerts: tuple[Percent, ...] = ()  # percent of a budget at which to tell somebody
    cached_weight: Annotated[float, Field(ge=0, le=1)] = 1.0  # of a cached prompt token
    wait_s: Annotated[float, Field(ge=0, le=25)] = 0.0  # wait that long for room before a 429
    stop: bool = False  # end an answer midway that outruns it

    @model_validator(mode="after")
    def check_measure(self) -> Self:
        if len(self._measures()) != 1:
            raise ValueError(f"give exactly one of {', '.join(MEASURES)}")
        if len(set(self.per)) != len(self.per) or ("all" in self.per and len(self.per) > 1):
            raise ValueError("per: name each owner once, and `all` alone")
        if (self.every is None) != (self.unit is Unit.CONCURRENT):
            concurrent = self.unit is Unit.CONCURRENT
            raise ValueError("leave `every` out" if concurrent else "say how often, with `every`")
        return self

    @model_validator(mode="after")
    def check_algorithm(self) -> Self:
        chosen, calendar = self.chosen(), self.calendar()
        if (chosen is Algorithm.SEMAPHORE) != (self.unit is Unit.CONCURRENT):
            raise ValueError("a semaphore counts what is concurrent, and nothing else does")
        if chosen is Algorithm.BUDGET and calendar is None:
            raise ValueError("a budget is every day, week or month")
        if chosen is not Algorithm.BUDGET and self.every == "month":
            raise ValueError("every month is a budget's period: write 30d")
        if self.burst is not None and chosen not in BUCKETS:
            raise ValueError(f"burst is for buckets, not for a {chosen.value}")
        if self.alerts and chosen is not Algorithm.BUDGET:
            raise ValueError("alerts are for budgets")
        if self.stop and self.unit not in GROWING:
            raise ValueError("stop is for tokens of answers and for money")
        if self.stop and self.strict:
            raise ValueError("stop reserves piece by piece and strict all at once: choose one")
        return self

    def _measures(self) -> list[str]:
        return [name for name in MEASURES if getattr(self, name) is not None]

    @property
    def unit(self) -> Unit:
        return MEASURES[self._measures()[0]]

    def calendar(self) -> Calendar | None:
        return Calendar(self.every) if self.every in {"day", "week", "month"} else None

    def chosen(self) -> Algorithm:
        """Choose as platform teams do: what is said for a second is a rate, for a minute an
        allowance that grows back, for a day a window, for a month a budget."""
        if self.algorithm is not None:
            return self.algorithm
        if self.unit is Unit.CONCURRENT:
            return Algorithm.SEMAPHORE
        if self.every == "month" or (self.unit is Unit.USD and self.calendar()):
            return Algorithm.BUDGET
        if self.every == "second":
            return Algorithm.LEAKY_BUCKET
        return Algorithm.TOKEN_BUCKET if self.period_s() <= 60 else Algorithm.SLIDING_WINDOW

    def period_s(self) -> int:
        """0 for what has none."""
        every = self.every or ""
        if match := DURATION.fullmatch(every):
            return int(match[1]) * UNITS_S[match[2]]
        return PERIODS_S.get(every, 0)

    def amount(self) -> int:
        given: int | Decimal = getattr(self, self._measures()[0])
        return min(int(given * 10**9) if self.unit is Unit.USD else int(given), LARGEST)

    def limit(self) -> Limit:
        """Compile what the counters need to know."""
        budget = self.chosen() is Algorithm.BUDGET
        return Limit(
            name=self.name,
            algorithm=self.chosen(),
            unit=self.unit,
            amount=self.amount(),
            period_s=0 if budget else self.period_s(),
            calendar=self.calendar() if budget else None,
            zone=self.zone,
            burst=self.burst or 0,
            strict=self.strict,
            shadow=self.shadow,
            on_fault=self.on_fault,
            alerts=tuple(sorted(self.alerts)),
            of_tenants=self.per[0] in OF_TENANTS,
            cached_weight=self.cached_weight,
            wait_s=self.wait_s,
        )

    def reach(self) -> Reach:
        """Compile whom it is for."""
        return Reach(
            limit=self.limit(),
            per=tuple(owner for owner in self.per if owner != "all"),
            tenants=frozenset(self.tenants),
            projects=frozenset(self.projects),
            users=frozenset(self.users),
            groups=frozenset(self.groups),
            keys=frozenset(self.keys),
            models=frozenset(self.models),
            pools=frozenset(self.pools),
            operations=frozenset(self.operations),
            stop=self.stop,
        )


OF_TENANTS = frozenset({"tenant", "project", "user", "key"})
BUCKETS = frozenset({Algorithm.TOKEN_BUCKET, Algorithm.LEAKY_BUCKET})
GROWING = frozenset({Unit.TOKENS, Unit.COMPLETION_TOKENS, Unit.USD})
"""What an answer takes more of while it goes on."""
