"""The duty that looks for costs nobody expected: single requests, and tenants' days and months.

Requests are looked at in the order of their entries, each once, across restarts. Days and months are
compared with what the weeks before let expect (`forecast.py`), each rule once for a tenant and period.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from alerts.alert import Alert, Kind, Severity
from alerts.outbox import Outbox
from ledger.config import Config, CostRule
from ledger.database import Database
from ledger.forecast import HISTORY_DAYS, Forecast, History
from ledger.lookbook import last_seq, read_mark, set_mark
from ledger.recent import Recent
from ledger.tables import ENTRY, USAGE_KEY, USAGE_QUARTER

EVERY_S = 10.0
"""How soon a dear request is told of."""
PERIODS_EVERY_S = 300.0
"""How often days and months are looked at: a forecast moves slowly."""
MAX_NEW = 50
"""Tenants whose past is read in one turn, some 5 ms each; the others come in the next ones."""
MAX_KEPT = 2_000
"""Tenants whose past is remembered: 6 000 quarters with something in them, 0.5 MB, at most."""

MARK = "cost_request"
PUSD = 10**12
MICRO = 10**6
"""Sums are by 1e-6 US dollars, so that none is too large: forecasts need no more."""
DAY_MS = 24 * 3600 * 1000

Series = Mapping[int, float]
"""US dollars by quarter of an hour."""

_COSTS = ("uncached_pusd", "cached_pusd", "completion_pusd")


class Dear(NamedTuple):
    """An entry that costs as much as the cheapest rule forbids."""

    settle_key: str
    request_id: str | None
    tenant: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    pusd: int


class CostAlerts:
    """Implements `duty.Duty`. One per settle process."""

    name = "cost_alerts"
    at_stop = False
    every_s = EVERY_S

    def __init__(
        self,
        reader: Database,
        writer: Database,
        config: Callable[[], Config],
        outbox: Outbox,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._config = config
        self._outbox = outbox
        self._clock = clock
        self._looked_s = -PERIODS_EVERY_S
        self._past = Recent[tuple[str, int], Series](MAX_KEPT)

    def run(self) -> None:
        rules = self._config().cost_rules
        if bounds := [rule for rule in rules if rule.per is None]:
            self._look_at_requests(bounds)
        now_s = self._clock()
        periods = [rule for rule in rules if rule.per is not None]
        if periods and abs(now_s - self._looked_s) >= PERIODS_EVERY_S:
            self._looked_s = now_s
            self._look_at_periods(periods, now_s)

    def _look_at_requests(self, rules: Sequence[CostRule]) -> None:
        least = min(rule.bound_pusd for rule in rules)
        with self._reader.transaction() as connection:
            seq = last_seq(connection)
            mark = read_mark(connection, MARK)
            dear = [] if mark is None else find_dear(connection, mark, seq, least)
        at_ms = round(self._clock() * 1000)
        for request in dear:
            for rule in rules:
                if request.pusd >= rule.bound_pusd and rule.is_for(request.tenant):
                    self._outbox.put(alert_of_request(rule, request, at_ms))
        if mark != seq:
            with self._writer.transaction() as connection:
                set_mark(connection, MARK, seq)

    def _look_at_periods(self, rules: Sequence[CostRule], now_s: float) -> None:
        now_ms = round(now_s * 1000)
        today_ms = now_ms - now_ms % DAY_MS
        with self._reader.transaction() as connection:
            today = read_series(connection, today_ms)
            for tenant, series in self._with_past(connection, today, today_ms):
                for rule in rules:
                    if rule.is_for(tenant):
                        self._judge(rule, tenant, series, now_s)

    def _with_past(
        self, connection: Connection, today: Mapping[str, Series], today_ms: int
    ) -> Iterable[tuple[str, Series]]:
        """Give each tenant that spends today with all it has spent."""
        left = MAX_NEW
        for tenant, series in today.items():
            past = self._past.get((tenant, today_ms))
            if past is None:
                if left == 0:
                    self._looked_s = 0.0  # go on in the next turn
                    continue
                left -= 1
                since_ms = today_ms - HISTORY_DAYS * DAY_MS
                past = read_series(connection, since_ms, today_ms, tenant).get(tenant, {})
                self._past.put((tenant, today_ms), past)
            yield tenant, {**past, **series}

    def _judge(self, rule: CostRule, tenant: str, series: Series, now_s: float) -> None:
        now = datetime.fromtimestamp(now_s, ZoneInfo(rule.zone))
        history = History(series, ZoneInfo(rule.zone))
        forecast = history.forecast_day if rule.per == "day" else history.forecast_month
        found = forecast(now)
        if found is not None and is_above(rule, found):
            self._outbox.put(alert_of_period(rule, tenant, found, now))


def find_dear(connection: Connection, after: int, to: int, least_pusd: int) -> list[Dear]:
    """Find the entries in (after, to] that cost so much; unknown parts cost nothing."""
    pusd = sum(
        (func.coalesce(ENTRY.c[name], 0) for name in _COSTS[1:]),
        func.coalesce(ENTRY.c[_COSTS[0]], 0),
    )
    columns = [ENTRY.c[name] for name in Dear._fields[:-1]]
    rows = connection.execute(
        select(*columns, pusd).where(
            ENTRY.c.seq > after, ENTRY.c.seq <= to, ENTRY.c.requests == 1, pusd >= least_pusd
        )
    )
    return [Dear._make(row) for row in rows]


def read_series(
    connection: Connection, since_ms: int, until_ms: int | None = None, tenant: str | None = None
) -> Mapping[str, Series]:
    """Sum up what tenants spent in [since, until), by quarter of an hour."""
    micro = sum(
        (func.sum(USAGE_QUARTER.c[name] / MICRO) for name in _COSTS[1:]),
        func.sum(USAGE_QUARTER.c[_COSTS[0]] / MICRO),
    )
    query = (
        select(USAGE_KEY.c.tenant, USAGE_QUARTER.c.bucket_ms, micro)
        .join(USAGE_KEY, USAGE_KEY.c.id == USAGE_QUARTER.c.key)
        .where(USAGE_QUARTER.c.bucket_ms >= since_ms, USAGE_KEY.c.tenant.is_not(None))
        .group_by(USAGE_KEY.c.tenant, USAGE_QUARTER.c.bucket_ms)
    )
    if until_ms is not None:
        query = query.where(USAGE_QUARTER.c.bucket_ms < until_ms)
    if tenant is not None:
        query = query.where(USAGE_KEY.c.tenant == tenant)
    found: dict[str, dict[int, float]] = {}
    for name, bucket_ms, amount in connection.execute(query):
        if name is not None and amount:
            found.setdefault(name, {})[bucket_ms] = float(amount) / MICRO
    return found


def is_above(rule: CostRule, found: Forecast) -> bool:
    dear = found.projected >= rule.bound_pusd / PUSD
    return dear and found.projected > rule.above_forecast * found.usual


def alert_of_request(rule: CostRule, request: Dear, at_ms: int) -> Alert:
    usd = request.pusd / PUSD
    return Alert(
        id=f"cost_request:{rule.name}:{request.settle_key}"[:256],
        at_ms=at_ms,
        kind=Kind.COST_REQUEST,
        severity=Severity.WARNING,
        tenant=request.tenant,
        title=f"one request cost {usd:.2f} USD",
        text=f"Rule {rule.name} tells of requests from {rule.bound_pusd / PUSD:g} USD on.",
        facts={
            "rule": rule.name,
            "usd": round(usd, 6),
            "model": request.model or "unknown",
            "request_id": request.request_id or "",
            "prompt_tokens": request.prompt_tokens or 0,
            "completion_tokens": request.completion_tokens or 0,
        },
    )


def alert_of_period(rule: CostRule, tenant: str, found: Forecast, now: datetime) -> Alert:
    month = rule.per == "month"
    period = f"{now:%Y-%m}" if month else f"{now:%Y-%m-%d}"
    usual = f"Usual for {'this month' if month else f'a {now:%A}'} is {found.usual:.2f} USD"
    return Alert(
        id=f"cost_{rule.per}:{rule.name}:{tenant}:{period}"[:256],
        at_ms=round(now.astimezone(UTC).timestamp() * 1000),
        kind=Kind.COST_MONTH if month else Kind.COST_DAY,
        severity=Severity.WARNING,
        tenant=tenant,
        title=f"{tenant}'s {rule.per} is heading for {found.projected:.2f} USD",
        text=f"{usual}; {found.spent:.2f} USD are spent already. Rule {rule.name} tells of "
        f"{rule.above_forecast:g} times the usual.",
        facts={
            "rule": rule.name,
            "period": period,
            "spent_usd": round(found.spent, 2),
            "usual_usd": round(found.usual, 2),
            "projected_usd": round(found.projected, 2),
        },
    )
