"""Why a client is refused, and the one place that knows HTTP statuses.

A refusal is a value (`decision.Deny` carrying a `Reason`); a fault is an exception, and only
`pipeline.Pipeline` turns one into a refusal. The exceptions of this package:

    HeadgateError
    +-- PolicyError          the policy cannot be served; raised while loading, never while serving
    +-- WireError            Envoy and we disagree about the protocol; the RPC is aborted
    +-- DownstreamGoneError  the stream ended before we had answered; nothing to do but leave
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec


class HeadgateError(Exception):
    """Base of every exception this package raises on purpose."""


class PolicyError(HeadgateError, ValueError):
    """The policy cannot be served. The message lists every mistake, one a line, with its place."""


class WireError(HeadgateError):
    """A message that the ext_proc protocol does not allow here. `kind` is its metric label."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class DownstreamGoneError(HeadgateError):
    """Envoy closed the stream: the client left, or Envoy gave up waiting."""


Blame = Literal["client", "gateway", "engine"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a `Reason` says to the three who read it: client, operator, retry logic."""

    code: str
    """`error.code` of the body, and the `deny` column of the ledger."""
    status: int
    type: str
    """`error.type` of the body, in OpenAI's words."""
    blame: Blame
    retry: bool
    """Whether the same request may succeed later."""


class Reason(Enum):
    """Every refusal there is. A new one gets a line here and nowhere else."""

    INVALID_REQUEST = Kind("invalid_request", 400, "invalid_request_error", "client", retry=False)
    MISSING_KEY = Kind("missing_api_key", 401, "authentication_error", "client", retry=False)
    INVALID_KEY = Kind("invalid_api_key", 401, "authentication_error", "client", retry=False)
    WIDENED = Kind("identity_mismatch", 403, "permission_error", "client", retry=False)
    MODEL_FORBIDDEN = Kind("model_forbidden", 403, "permission_error", "client", retry=False)
    UNKNOWN_URL = Kind("unknown_url", 404, "invalid_request_error", "client", retry=False)
    UNKNOWN_MODEL = Kind("model_not_found", 404, "invalid_request_error", "client", retry=False)
    METHOD = Kind("method_not_allowed", 405, "invalid_request_error", "client", retry=False)
    TOO_LARGE = Kind("request_too_large", 413, "invalid_request_error", "client", retry=False)
    MEDIA_TYPE = Kind("unsupported_media_type", 415, "invalid_request_error", "client", retry=False)
    FAULT = Kind("internal_error", 500, "server_error", "gateway", retry=True)
    OVERLOADED = Kind("gateway_overloaded", 503, "server_error", "gateway", retry=True)
    NO_ENDPOINT = Kind("no_endpoint", 503, "server_error", "engine", retry=True)


class _Error(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class _Body(msgspec.Struct, frozen=True):
    error: _Error


def body(reason: Reason, message: str, param: str | None = None) -> bytes:
    """Build the JSON body that OpenAI's SDKs understand."""
    kind = reason.value
    return msgspec.json.encode(_Body(_Error(message, kind.type, param, kind.code)))
