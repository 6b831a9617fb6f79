"""What a filter may decide, and how a request may have ended."""

from collections.abc import Mapping, Sequence

import msgspec

from extproc.errors import Reason
from extproc.request import Request, Scalar


class Deny(msgspec.Struct, frozen=True):
    """Refuse. All of it is shown to the client."""

    reason: Reason
    message: str
    param: str | None = None
    """The field at fault, as a path into the body: `messages[0].role`."""
    retry_after_s: int = 0
    allow: str = ""
    """The method that would be right, for a 405 (RFC 9110 15.5.6)."""


class Reply(msgspec.Struct, frozen=True):
    """Answer right here, without an engine. Always a 200."""

    body: bytes
    content_type: str = "application/json"


Decision = Request | Reply | Deny
"""Go on with this request, answer it, or refuse it."""


class Judged(msgspec.Struct, frozen=True):
    """What the pipeline made of a request: all facts found, and why it stopped, if it did."""

    request: Request
    stop: Reply | Deny | None

    @property
    def outcome(self) -> str:
        """One word for metrics: `forward`, `reply`, `deny`, or `fault` for a refusal that is ours."""
        match self.stop:
            case None:
                return "forward"
            case Reply():
                return "reply"
            case Deny(reason):
                return "fault" if reason is Reason.FAULT else "deny"


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended, as Envoy saw it. Told at most once: what must be exact reads the log."""

    witness: Mapping[str, Scalar]
    """What the filters left in metadata at decision time; empty if none of them was reached."""
    status: int
    """What the client got; 0 when it left before the answer began."""
    attempts: int
    """How many endpoints were tried; 0 when none was."""
    failed: Sequence[str]
    """Endpoints that were tried and gave no answer: refused, reset, or silent. Mostly none."""
