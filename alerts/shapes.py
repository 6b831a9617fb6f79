r"""Alerts as their receivers want them. Pure: the same alerts give the same bytes.

Sources: Slack "Sending messages using incoming webhooks" and "Formatting text" (only & < > are
special; a section holds 3000 characters); WeCom "Group robots" (path/91770: markdown of at most
4096 bytes); DingTalk "Custom robots" (markdown needs a title; sign = base64 of HMAC-SHA256 over
`timestamp\nsecret`, milliseconds, good for an hour). Mattermost and Rocket.Chat leave out Slack's
blocks, so `text` says everything.
"""

import hmac
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote_plus

import msgspec

from alerts.alert import Alert, Severity
from alerts.webhook import Shape
from telemetry.logs import redact

SLACK_CHARS = 2900
"""Of one section; Slack refuses the whole message above 3000."""
WECOM_BYTES = 4096
DINGTALK_BYTES = 18_000
"""DingTalk refuses bodies above 20 000 bytes."""
TITLE_CHARS = 160

_SIGNS: Mapping[Severity, str] = {
    Severity.INFO: "\N{INFORMATION SOURCE}",
    Severity.WARNING: "\N{WARNING SIGN}",
    Severity.CRITICAL: "\N{POLICE CARS REVOLVING LIGHT}",
}
_PLAIN = str.maketrans("<>[]", "{}()")
_WECOM_COLOURS: Mapping[Severity, str] = {
    Severity.INFO: "info",
    Severity.WARNING: "warning",
    Severity.CRITICAL: "warning",
}


def write_body(shape: Shape, alerts: Sequence[Alert]) -> bytes:
    """Write one message about one alert or more. People get several summed up, programs all of them."""
    if shape is Shape.JSON:
        return redact(msgspec.json.encode({"alerts": alerts}).decode()).encode()
    said = _Words(alerts[0] if len(alerts) == 1 else sum_up(alerts))
    return msgspec.json.encode(_SHAPES[shape](said))


def sign(url: str, secret: str, now_ms: int) -> str:
    """Add DingTalk's timestamp and signature to its URL."""
    text = f"{now_ms}\n{secret}"
    digest = hmac.digest(secret.encode(), text.encode(), "sha256")
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}timestamp={now_ms}&sign={quote_plus(b64encode(digest))}"


def sum_up(alerts: Sequence[Alert]) -> Alert:
    """Make one alert of many: how many of each kind, and the worst of them."""
    worst = max(alerts, key=lambda alert: alert.severity.rank)
    kinds = Counter(alert.kind.value for alert in alerts)
    tenants = sorted({alert.tenant for alert in alerts if alert.tenant})
    named = ", ".join(tenants[:10]) + (", ..." if len(tenants) > 10 else "")
    return Alert(
        id=f"more:{alerts[0].id}"[:256],
        at_ms=alerts[-1].at_ms,
        kind=worst.kind,
        severity=worst.severity,
        title=f"and {len(alerts)} more alerts",
        text="Too many for one message each: the settle process has logged all of them."
        + (f" Tenants: {named}." if tenants else ""),
        facts=dict(kinds.most_common()),
    )


class _Words:
    """An alert's parts, redacted and short enough for any chat."""

    def __init__(self, alert: Alert) -> None:
        self.severity = alert.severity
        self.title = _one_line(f"{_SIGNS[alert.severity]} Headgate: {redact(alert.title)}")
        self.text = redact(alert.text)
        at = datetime.fromtimestamp(alert.at_ms / 1000, UTC)
        self.facts = [
            *([("tenant", alert.tenant)] if alert.tenant else []),
            *((name, redact(str(value))) for name, value in alert.facts.items()),
            ("at", f"{at:%Y-%m-%d %H:%M:%S} UTC"),
        ]


def _slack(said: _Words) -> dict[str, object]:
    facts = "\n".join(f"{name}: {value}" for name, value in said.facts)
    title, text, small = (_escape(part) for part in (said.title, said.text, facts))
    body = f"{text}\n{small}"[:SLACK_CHARS]
    sections = (f"*{title}*", body)
    return {
        "text": f"*{title}*\n{body}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": section}} for section in sections
        ],
    }


def _wecom(said: _Words) -> dict[str, object]:
    colour = _WECOM_COLOURS[said.severity]
    facts = "\n".join(f">{name}: {_plain(value)}" for name, value in said.facts)
    content = f'<font color="{colour}">{_plain(said.title)}</font>\n{_plain(said.text)}\n{facts}'
    return {"msgtype": "markdown", "markdown": {"content": _cut(content, WECOM_BYTES)}}


def _dingtalk(said: _Words) -> dict[str, object]:
    facts = "\n".join(f"- {name}: {_plain(value)}" for name, value in said.facts)
    title = _plain(said.title)
    text = f"#### {title}\n\n{_plain(said.text)}\n\n{facts}"
    return {
        "msgtype": "markdown",
        "markdown": {"title": title, "text": _cut(text, DINGTALK_BYTES)},
    }


_SHAPES: Mapping[Shape, Callable[[_Words], dict[str, object]]] = {
    Shape.SLACK: _slack,
    Shape.WECOM: _wecom,
    Shape.DINGTALK: _dingtalk,
}


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    """Leave nothing that markdown with HTML in it could take for a mention, a link or a tag."""
    return text.translate(_PLAIN)


def _one_line(text: str) -> str:
    return " ".join(text.replace("*", "").split())[:TITLE_CHARS]


def _cut(text: str, bytes_: int) -> str:
    return text.encode()[:bytes_].decode("utf-8", "ignore")
