"""One webhook's queue: what to send now, and what an answer changes. Pure but for its own state.

Failures are the webhook's, not a message's: while it does not answer, one message is tried, with
growing pauses, and stands for all that wait. Its pace is bounded; what would go beyond it is summed
up in the last message of the minute.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from alerts.alert import Alert
from alerts.verdict import Verdict
from alerts.webhook import PER_MINUTE, Webhook

MAX_TRIES = 8
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
"""5, 15, 45, 135, 405, 600, 600 s: eight tries in half an hour. A receiver that is being restarted
is met by the third, an outage longer than that is nothing an alert could wait for."""
JITTER = 0.2

GAP_S = 1.0
"""Between two messages to one webhook: what Slack takes without refusing any."""

MAX_WAITING = 1_000
"""Alerts that wait for one webhook. Above it the oldest go: what happens now matters more."""
MAX_SUMMED = 200
"""Alerts in one message: what a program gets in one body."""


@dataclass(slots=True)
class _Waiting:
    alert: Alert
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of alerts; those that are tried again are in neither."""

    delivered: Sequence[Alert] = ()
    given_up: Sequence[Alert] = ()


class Courier:
    """Not for several tasks at once: `next`, send, `done`, and again."""

    def __init__(self, webhook: Webhook) -> None:
        self.webhook = webhook
        self._waiting: dict[str, _Waiting] = {}
        self._sent_s: deque[float] = deque()
        self._failures = 0
        self._not_before_s = 0.0

    def has(self, alert_id: str) -> bool:
        return alert_id in self._waiting

    def offer(self, alert: Alert) -> Sequence[Alert]:
        """Queue an alert; returns those for which there is no room any more."""
        self._waiting.setdefault(alert.id, _Waiting(alert))
        surplus = list(self._waiting)[: max(0, len(self._waiting) - MAX_WAITING)]
        return [self._waiting.pop(alert_id).alert for alert_id in surplus]

    def next(self, now_s: float) -> Sequence[Alert]:
        """Choose what the next message is about; nothing when it is not time yet.

        `now_s` is of any clock that never goes back.
        """
        while self._sent_s and self._sent_s[0] <= now_s - 60:
            self._sent_s.popleft()
        left = PER_MINUTE[self.webhook.shape] - len(self._sent_s)
        if not self._waiting or left <= 0 or now_s < self._not_before_s:
            return ()
        # The worst first; among equals in their order.
        alerts = sorted((w.alert for w in self._waiting.values()), key=lambda a: -a.severity.rank)
        return alerts[:MAX_SUMMED] if left == 1 else alerts[:1]

    def done(
        self, alerts: Sequence[Alert], verdict: Verdict, now_s: float, jitter: float
    ) -> Outcome:
        """Take the answer to a message about `alerts`. `jitter` is between 0 and 1."""
        self._sent_s.append(now_s)
        self._not_before_s = now_s + GAP_S
        if verdict.result == "later":
            return Outcome(given_up=self._fail(verdict, now_s, jitter))
        self._failures = 0
        for alert in alerts:
            self._waiting.pop(alert.id, None)
        if verdict.result == "refused":
            return Outcome(given_up=alerts)
        return Outcome(delivered=alerts)

    def _fail(self, verdict: Verdict, now_s: float, jitter: float) -> Sequence[Alert]:
        self._failures += 1
        pause_s = backoff_s(self._failures, jitter)
        self._not_before_s = now_s + max(pause_s, verdict.wait_s)
        for waiting in self._waiting.values():
            waiting.tries += 1
        given_up = [w.alert for w in self._waiting.values() if w.tries >= MAX_TRIES]
        for alert in given_up:
            del self._waiting[alert.id]
        return given_up


def backoff_s(failures: int, jitter: float) -> float:
    """How long to wait after so many failures in a row. `jitter` (0 to 1) spreads it by 20 %."""
    pause_s = min(FIRST_PAUSE_S * 3.0 ** min(failures - 1, 10), LONGEST_PAUSE_S)
    return pause_s * (1 - JITTER + 2 * JITTER * jitter)
