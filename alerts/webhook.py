"""Where alerts go: one webhook, and which alerts are its business."""

from enum import StrEnum

import msgspec

from alerts.alert import Alert, Kind, Severity


class Shape(StrEnum):
    """What the receiver understands."""

    SLACK = "slack"
    """Slack, and what takes its messages: Mattermost, Rocket.Chat."""
    WECOM = "wecom"
    DINGTALK = "dingtalk"
    JSON = "json"
    """A program: alerts as they are."""


PER_MINUTE = {Shape.SLACK: 30, Shape.WECOM: 15, Shape.DINGTALK: 15, Shape.JSON: 30}
"""Messages a minute. WeCom takes 20 from one robot and refuses more; DingTalk takes 20, and then
refuses everything for ten minutes (both by their own documents); Slack takes one a second."""


class Webhook(msgspec.Struct, frozen=True):
    """One receiver. Its URL is a secret: whoever knows it can write there."""

    name: str
    """What logs and metrics call it."""
    url: str
    shape: Shape
    kinds: frozenset[Kind] = frozenset()
    """None: all."""
    severity: Severity = Severity.INFO
    """This and worse."""
    tenants: frozenset[str] = frozenset()
    """None: all, and what concerns no tenant in particular."""
    secret: str | None = None
    """DingTalk's signing key."""

    def wants(self, alert: Alert) -> bool:
        """Tell whether an alert is its business. One of a tenant sees nothing of the others."""
        return (
            (not self.kinds or alert.kind in self.kinds)
            and alert.severity.rank >= self.severity.rank
            and (not self.tenants or alert.tenant in self.tenants)
        )

    def __repr__(self) -> str:
        return f"Webhook({self.name!r})"
