"""What the settle process tells of its rows: metrics and one log line each, once they are safe.

Called after the commit, so a batch that has to be tried again is counted once. A label that is
unknown reads `unknown`.
"""

from collections.abc import Iterable

from ledger.row import Row
from ledger.store import Open
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

UNKNOWN = "unknown"
_log = EventLog(__name__)


def publish_settled(rows: Iterable[Row], metrics: SettleMetrics, now_s: float) -> None:
    worst_lag_s: float | None = None
    for row in rows:
        lag_s = _count(row, metrics, now_s)
        if lag_s is not None and (worst_lag_s is None or lag_s > worst_lag_s):
            worst_lag_s = lag_s
        _tell(Event.REQUEST_SETTLED, row)
    if worst_lag_s is not None:
        metrics.settle_lag_last.set(worst_lag_s)


def publish_unsettled(rows: Iterable[Row], metrics: SettleMetrics) -> None:
    """Tell of requests given up. They count as requests only when their end comes after all."""
    for row in rows:
        metrics.unsettled.add()
        _tell(Event.REQUEST_UNSETTLED, row)


def publish_booked(rows: int, corrections: int, metrics: SettleMetrics) -> None:
    """Count what a commit booked: one entry for each row, and a reversal for each correction."""
    if rows:
        metrics.entries.add(amount=rows + corrections)
    if corrections:
        metrics.corrections.add(amount=corrections)


def publish_in_flight(
    before: Iterable[Open], after: Iterable[Open], metrics: SettleMetrics
) -> None:
    """Move the gauge from the open requests that were to those that are instead."""
    for open_ in before:
        metrics.in_flight.add(open_.seen.origin.model or UNKNOWN, amount=-1)
    for open_ in after:
        metrics.in_flight.add(open_.seen.origin.model or UNKNOWN)


def _count(row: Row, metrics: SettleMetrics, now_s: float) -> float | None:
    """Count one row and return its settle lag."""
    tenant, model = row.tenant or UNKNOWN, row.model or UNKNOWN
    metrics.requests.add(tenant, model, UNKNOWN if row.status is None else str(row.status))
    if row.deny_reason is not None:
        metrics.denials.add(row.deny_reason)
    if row.prompt_tokens:
        metrics.tokens.add(tenant, model, "prompt", amount=row.prompt_tokens)
    if row.completion_tokens:
        metrics.tokens.add(tenant, model, "completion", amount=row.completion_tokens)
    if row.cached_tokens:
        metrics.tokens.add(tenant, model, "cached", amount=row.cached_tokens)
    _count_cost(row, tenant, model, metrics)
    if row.ttft_us is not None and 200 <= (row.status or 0) < 300:
        metrics.ttft.observe(row.ttft_us / 1e6, model)
    if row.latency_us is None:
        return None
    metrics.request.observe(row.latency_us / 1e6, model)
    lag_s = max(0.0, now_s - row.start_ms / 1000 - row.latency_us / 1e6)
    metrics.settle_lag.observe(lag_s)
    return lag_s


def _count_cost(row: Row, tenant: str, model: str, metrics: SettleMetrics) -> None:
    pusd = (row.uncached_pusd or 0) + (row.cached_pusd or 0) + (row.completion_pusd or 0)
    if pusd:
        metrics.cost_usd.add(tenant, model, amount=pusd / 1e12)
    elif row.has_bad_price:
        metrics.prices_bad.add()


def _tell(event: Event, row: Row) -> None:
    """Log one row, without user and key: logs go to more eyes than the ledger does."""
    if not _log.is_on():
        return
    _log.info(
        event,
        request_id=row.request_id,
        trace_id=row.trace_id,
        tenant=row.tenant,
        project=row.project,
        operation=row.operation,
        model=row.model,
        endpoint=row.endpoint,
        status=row.status,
        error=row.deny_reason,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cached_tokens=row.cached_tokens,
        ttft_us=row.ttft_us,
        latency_us=row.latency_us,
        attempts=row.attempts,
        cut=row.cut,
        estimated=row.estimated,
    )
