"""Delivery: the loop that empties the outbox. It runs in the settle process, beside the settling.

At least once: an alert leaves the outbox when every webhook that wants it has had it or was given up,
and what each has had is remembered across restarts. With no webhook at all, alerts are counted
and logged. A webhook that hangs costs the others five seconds of delay, now and then, and nothing else.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from alerts import outbox
from alerts.alert import Alert, Severity
from alerts.courier import Courier, Outcome
from alerts.sent import Sent
from alerts.shapes import sign, write_body
from alerts.verdict import Verdict, judge
from alerts.webhook import Shape, Webhook
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

POLL_S = 1.0
"""Listing an empty directory once a second costs nothing that could be measured."""
DEADLINE_S = 5.0
"""Of one message, from connecting to the answer."""
MAX_ANSWER_BYTES = 16 * 1024
EVERYBODY = ""
"""In `Sent`: the pseudo webhook that stands for "counted and logged"."""

_log = EventLog(__name__)


class Deliverer:
    """Owns the outbox's reading side. One per state directory."""

    def __init__(
        self, directory: Path, metrics: SettleMetrics, webhooks: Callable[[], Sequence[Webhook]]
    ) -> None:
        """`webhooks` tells which there are, at each look. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._metrics = metrics
        self._webhooks = webhooks
        self._sent = Sent(directory / "sent.jsonl")
        self._couriers: dict[str, Courier] = {}
        self._random = random.Random()  # noqa: S311 - spreads retries, nothing to guess

    async def run(self) -> None:
        """Deliver for ever; cancel to stop. What was not delivered stays in the outbox."""
        async with open_session() as session:
            while True:
                try:
                    await self.step(session)
                except Exception as fault:  # noqa: BLE001 - no alert is worth the settle process
                    self._metrics.duty_faults.add("alerts")
                    _log.error(Event.DUTY_FAULT, fault, duty="alerts")
                await asyncio.sleep(POLL_S)

    async def step(self, session: aiohttp.ClientSession) -> None:
        """Look once, and send what is due: at most one message to each webhook."""
        self._configure()
        for alert in outbox.read_all(self._directory):
            self._take(alert)
        async with asyncio.TaskGroup() as tasks:
            for courier in self._couriers.values():
                tasks.create_task(self._send_due(session, courier))

    def _configure(self) -> None:
        """Follow the webhooks. One that has not changed keeps its queue and its pauses."""
        known = self._couriers
        self._couriers = {
            webhook.name: known[webhook.name]
            if webhook.name in known and known[webhook.name].webhook == webhook
            else Courier(webhook)
            for webhook in self._webhooks()
        }

    def _take(self, alert: Alert) -> None:
        if (EVERYBODY, alert.id) not in self._sent:
            self._metrics.alerts.add(alert.kind.value)
            _tell(alert)
            self._sent.add(EVERYBODY, [alert.id])
        wanted = False
        for name, courier in self._couriers.items():
            if not courier.webhook.wants(alert) or (name, alert.id) in self._sent:
                continue
            wanted = True
            self._forget(name, courier.offer(alert))
        if not wanted:
            outbox.remove(self._directory, alert.id)

    async def _send_due(self, session: aiohttp.ClientSession, courier: Courier) -> None:
        alerts = courier.next(time.monotonic())
        if alerts:
            verdict = await send(session, courier.webhook, alerts)
            outcome = courier.done(alerts, verdict, time.monotonic(), self._random.random())
            self._settle(courier.webhook.name, verdict, outcome)

    def _settle(self, name: str, verdict: Verdict, outcome: Outcome) -> None:
        count = self._metrics.webhook_deliveries.add
        if verdict.result == "delivered":
            count(name, "delivered")
            self._sent.add(name, [alert.id for alert in outcome.delivered])
            return
        count(name, "retried" if verdict.result == "later" else "refused")
        _log.warning(
            Event.WEBHOOK_FAILED, webhook=name, result=verdict.result, reason=verdict.reason
        )
        self._forget(name, outcome.given_up)

    def _forget(self, name: str, alerts: Sequence[Alert]) -> None:
        """Remember as told what will never be."""
        if not alerts:
            return
        self._metrics.webhook_deliveries.add(name, "given_up", amount=len(alerts))
        ids = [alert.id for alert in alerts]
        _log.error(Event.WEBHOOK_GAVE_UP, webhook=name, alerts=len(ids), first=ids[0])
        self._sent.add(name, ids)


def open_session() -> aiohttp.ClientSession:
    """Make a client that does as little as possible: no cookies, no kept connections."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=DEADLINE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(force_close=True),
        headers={"content-type": "application/json; charset=utf-8"},
    )


async def send(
    session: aiohttp.ClientSession, webhook: Webhook, alerts: Sequence[Alert]
) -> Verdict:
    """Send one message. Whatever goes wrong is a verdict.

    Exceptions of the client hold the URL, which is a secret: only their names are told.
    """
    url = webhook.url
    if webhook.shape is Shape.DINGTALK and webhook.secret:
        url = sign(url, webhook.secret, time.time_ns() // 1_000_000)
    body = write_body(webhook.shape, alerts)
    try:
        async with session.post(url, data=body, allow_redirects=False) as answer:
            said = b""
            async for piece in answer.content.iter_any():
                said += piece
                if len(said) >= MAX_ANSWER_BYTES:
                    break
            return judge(answer.status, said, answer.headers.get("retry-after"), time.time())
    except TimeoutError:
        return Verdict("later", f"no answer within {DEADLINE_S:g} s")
    except aiohttp.InvalidURL:
        return Verdict("refused", "not a URL")
    except (aiohttp.ClientError, OSError, ValueError) as fault:
        return Verdict("later", type(fault).__name__)


def _tell(alert: Alert) -> None:
    tell = _log.info if alert.severity is Severity.INFO else _log.warning
    tell(
        Event.ALERT,
        id=alert.id,
        kind=alert.kind.value,
        severity=alert.severity.value,
        tenant=alert.tenant,
        title=alert.title,
        text=alert.text,
        **{f"fact_{name}": value for name, value in alert.facts.items()},
    )
