"""What becomes of a finding: metrics, and an alert when ledger and engine are apart for long enough."""

from collections.abc import Mapping
from datetime import UTC, datetime

from alerts.alert import Alert, Kind, Severity
from alerts.outbox import Outbox
from ledger.config import Drift
from ledger.counters import Scrape
from ledger.reconcile import CAUSES, Finding
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

_log = EventLog(__name__)


class Teller:
    """Remembers since when what has been wrong."""

    def __init__(self, outbox: Outbox, metrics: SettleMetrics) -> None:
        self._outbox = outbox
        self._metrics = metrics
        self._since_ms: dict[tuple[str, Kind], int] = {}
        self._silent: dict[str, str] = {}
        self._shown: set[str] = set()

    def found(self, whole: Finding, day: Finding, drift: Drift) -> None:
        """Take what came out since the engine started, and in the last day."""
        endpoint = whole.endpoint
        self._shown.add(endpoint)
        for cause in CAUSES:
            self._metrics.unattributed.set(whole.causes[cause], endpoint, cause)
        self._metrics.ledger_drift.set(whole.prompt.drift, endpoint, "prompt")
        self._metrics.ledger_drift.set(whole.completion.drift, endpoint, "completion")
        self._metrics.reconciled.set(whole.at_ms / 1000, endpoint)
        for kind, tokens in (
            (Kind.LEDGER_DRIFT, day.drift_tokens),
            (Kind.UNATTRIBUTED, day.unknown_tokens),
        ):
            if not is_apart(tokens, day.engine_tokens, drift):
                self._since_ms.pop((endpoint, kind), None)
                continue
            since_ms = self._since_ms.setdefault((endpoint, kind), day.at_ms)
            if day.at_ms - since_ms >= drift.for_s * 1000:
                self._outbox.put(make_alert(kind, day))

    def missed(self, scraped: Mapping[str, Scrape | str]) -> None:
        """Take what all engines said: log which have no counters for us, when that changes, and show no longer
        those that are gone."""
        for endpoint in self._shown - scraped.keys():
            self._forget(endpoint)
        silent = {address: why for address, why in scraped.items() if isinstance(why, str)}
        for address, why in silent.items():
            if self._silent.get(address) != why:
                _log.warning(Event.WITNESS_SILENT, endpoint=address, reason=why)
        self._silent = silent

    def _forget(self, endpoint: str) -> None:
        self._shown.remove(endpoint)
        for cause in CAUSES:
            self._metrics.unattributed.forget(endpoint, cause)
        for kind in ("prompt", "completion"):
            self._metrics.ledger_drift.forget(endpoint, kind)
        self._metrics.reconciled.forget(endpoint)
        for kind in (Kind.LEDGER_DRIFT, Kind.UNATTRIBUTED):
            self._since_ms.pop((endpoint, kind), None)


def is_apart(tokens: int, engine_tokens: int, drift: Drift) -> bool:
    return tokens > drift.tokens and tokens > drift.share * engine_tokens


def make_alert(kind: Kind, day: Finding) -> Alert:
    """Once a day for each engine, as long as it goes on."""
    endpoint = day.endpoint
    date = datetime.fromtimestamp(day.at_ms / 1000, UTC).date()
    since = datetime.fromtimestamp(day.since_ms / 1000, UTC)
    facts: dict[str, str | int | float | bool] = {
        "endpoint": endpoint,
        "pool": day.pool,
        "since": f"{since:%Y-%m-%d %H:%M} UTC",
        "engine_tokens": day.engine_tokens,
        "ledger_tokens": day.prompt.ledger + day.completion.ledger,
        **day.causes,
    }
    if kind is Kind.LEDGER_DRIFT:
        title = f"the ledger has {day.drift_tokens} tokens more than {endpoint} has counted"
        text = (
            f"{day.prompt.drift} prompt and {day.completion.drift} completion tokens are booked that "
            "the engine does not know of. `headgate ledger verify` tells whether entries were changed."
        )
    else:
        title = f"{endpoint} has counted {day.unknown_tokens} tokens that nobody is billed for"
        text = (
            f"{day.prompt.unknown} prompt and {day.completion.unknown} completion tokens that aborts, "
            "retries and n > 1 cannot explain: somebody uses the engine past the gateway, or entries "
            "are missing. `headgate reconcile` has the figures."
        )
    drifts = kind is Kind.LEDGER_DRIFT
    return Alert(
        id=f"{kind.value}:{endpoint}:{date}",
        at_ms=day.at_ms,
        kind=kind,
        severity=Severity.CRITICAL if drifts else Severity.WARNING,
        title=title,
        text=text,
        facts=facts,
    )
