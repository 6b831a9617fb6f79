"""Alerts to try things on."""

from alerts.alert import Alert, Kind, Severity

AT_MS = 1_790_000_000_000


def alert(name="a1", *, at_ms=AT_MS, kind=Kind.COST_DAY, severity=Severity.WARNING, **members):
    said = {"title": "acme's day is heading for 120 USD", "text": "Usual is 70 USD.", **members}
    return Alert(id=name, at_ms=at_ms, kind=kind, severity=severity, **said)
