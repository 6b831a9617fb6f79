"""What a filter may decide, and how a request may have ended."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

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
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """More of them, such as what is left of a limit."""
    limit: Mapping[str, object] | None = None
    """The limit that was met, for programs: a member of the error body."""
    witness: Mapping[str, Scalar] = msgspec.field(default_factory=dict[str, Scalar])
    """What settle is to know besides. The client is not told."""


class Reply(msgspec.Struct, frozen=True):
    """Answer right here, without an engine. Always a 200."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    witness: Mapping[str, Scalar] = msgspec.field(default_factory=dict[str, Scalar])
    """What settle is to know besides, or instead, of what the facts say."""
    usage: Mapping[str, Scalar] = msgspec.field(default_factory=dict[str, Scalar])
    """Tokens to be billed, by the names in `Outcome.tokens`; empty: none."""


class Relay(msgspec.Struct, frozen=True):
    """Send it to a service beside the gateway, its body unseen. Only while the headers are judged."""

    pool: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """What the service is told of who asks. Clients cannot send `x-headgate-*` themselves."""


class Wait(msgspec.Struct, frozen=True):
    """Not yet: something will be free soon."""

    most_s: float
    """How long it may take."""
    decide: Callable[[], Awaitable["Decision"]]
    """Waits, then decides. Being cancelled means that the client is gone."""


Decision = Request | Reply | Deny | Relay | Wait
"""Go on with this request, answer it, refuse it, hand it over, or let it wait."""


class Pause(msgspec.Struct, frozen=True):
    """The pipeline stands at a `Wait`; `go_on` waits and runs the rest."""

    most_s: float
    go_on: Callable[[], Awaitable["Judged"]]


class Judged(msgspec.Struct, frozen=True):
    """What the pipeline made of a request: all facts found, and why it stopped, if it did."""

    request: Request
    stop: Reply | Deny | Relay | Pause | None

    @property
    def outcome(self) -> str:
        """One word for metrics: `forward`, `relay`, `reply`, `deny`, or `fault` for a refusal that is
        ours."""
        match self.stop:
            case None:
                return "forward"
            case Relay():
                return "relay"
            case Reply():
                return "reply"
            case Deny(reason):
                return "fault" if reason is Reason.FAULT else "deny"
            case Pause():
                return "wait"


class Outcome(msgspec.Struct, frozen=True):
    """A request as Envoy saw it, at its end or on the way. Its end is told at most once: what must be
    exact reads the log."""

    witness: Mapping[str, Scalar]
    """What the filters left in metadata at decision time; empty if none of them was reached."""
    status: int
    """What the client got; 0 when it left before the answer began."""
    attempts: int
    """How many endpoints were tried; 0 when none was."""
    failed: Sequence[str]
    """Endpoints that were tried and gave no answer: refused, reset, or silent. Mostly none."""
    usage: Mapping[str, Scalar] = msgspec.field(default_factory=dict[str, Scalar])
    """What the engine said of its tokens, by the names in `tokens`; empty if it said nothing."""
    running: bool = False
    """It has not ended: Envoy only says that it still runs."""
    client_ip: str = ""
    """Where it came from, as Envoy sees it; of refusals only, for nobody else asks."""
    served: str = ""
    """The endpoint that answered, where it is known."""
    latency_s: float = 0.0
    """From its decision to its end; 0 is not known."""

    def tokens(self, name: str) -> int | None:
        """Read `prompt_tokens`, `completion_tokens` or `cached_tokens`; None is what nobody said."""
        told = self.usage.get(name)
        return int(told) if isinstance(told, int | float) else None
