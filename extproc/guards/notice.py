"""Tells people of a ban. Pure."""

from alerts.alert import Alert, Kind, Severity
from extproc.guards.base import Ban, Barred


def notice(ban: Ban, tenant: str) -> Alert:
    """Each ban is made once, by one worker, so that its beginning names it."""
    case = ban.case
    name = f"abuse:{case.barred.value}:{ban.since_ms}:{case.subject}"
    return Alert(
        id=name[:256],
        at_ms=ban.since_ms,
        kind=Kind.ABUSE,
        severity=Severity.INFO if case.shadow else Severity.WARNING,
        title=say(ban),
        text=f"{say(ban)}, for {case.why}. `headgate guards lift {case.subject}` ends it.",
        tenant=tenant or None,
        facts={
            "subject": case.subject,
            "barred": case.barred.value,
            "for_s": round(ban.left_s),
            "times": ban.times,
            "shadow": case.shadow,
        },
    )


def say(ban: Ban) -> str:
    would = "would be" if ban.case.shadow else "is"
    if ban.case.barred is Barred.LONG_PROMPTS:
        return f"{ban.case.subject} {would} kept from long prompts for {ban.left_s:.0f} s"
    return f"{ban.case.subject} {would} banned for {ban.left_s:.0f} s"
