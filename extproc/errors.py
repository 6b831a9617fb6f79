"""Why a client is refused, and the one place that knows HTTP statuses.

A refusal is a value (`decision.Deny` carrying a `Reason`); a fault is an exception, and only
`pipeline.Pipeline` turns one into a refusal. The exceptions of this package:

    HeadgateError
    +-- PolicyError          the policy cannot be served; raised while loading, never while serving
    +-- ConditionError       an expression of the policy is none, or has no value for this request
    +-- AuthorityError       the policy's authority gave no ruling
    +-- AskError             another model, asked on a client's behalf, gave no answer
    +-- DetectorError        what finds names in texts gave no answer, or none in time
    +-- EmbeddingError       a text got no vector, or none in time
    +-- CountersFaultError   what counts against limits gave no answer, or none in time
    +-- WireError            Envoy and we disagree about the protocol; the RPC is aborted
    |   +-- AnswerFirstError  an answer came that no request of ours led to
    +-- DownstreamGoneError  the stream ended before we had answered; nothing to do but leave
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Literal

import msgspec


class HeadgateError(Exception):
    """Base of every exception this package raises on purpose."""


class PolicyError(HeadgateError, ValueError):
    """The policy cannot be served. The message lists every mistake, one a line, with its place."""


class ConditionError(HeadgateError):
    """It is no condition, or it could not be decided. The message is for the operator."""


class AuthorityError(HeadgateError):
    """No ruling: it came too late, or there is no sense in it. The message is for the operator."""


class AskError(HeadgateError):
    """No answer from the gateway's own door, or none in time."""


class DetectorError(HeadgateError):
    """No findings: they came too late, or there is no sense in them. Never holds what was asked."""


class EmbeddingError(HeadgateError):
    """No vector for a text, or none in time."""


class QuestionsFaultError(HeadgateError):
    """No answer from where questions are kept, or none in time. Never holds what was asked."""


class CountersFaultError(HeadgateError):
    """No answer from the counters. What was asked may have been done: ask again by the same key."""


class WireError(HeadgateError):
    """A message that the ext_proc protocol does not allow here. `kind` is its metric label."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class AnswerFirstError(WireError):
    """Not the request came first but an answer: a filter of Envoy's before ours has refused it."""


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

    @property
    def anthropic_type(self) -> str:
        """`error.type` of the body, in Anthropic's words."""
        fallback = "api_error" if self.status >= 500 else "invalid_request_error"
        return ANTHROPIC_TYPES.get(self.status, fallback)


ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Source: Anthropic's API reference, "Errors". Its own 529 for overload has no meaning in HTTP and
proxies know nothing of it: ours is 503."""


class Reason(Enum):
    """Every refusal there is. A new one gets a line here, and one in `ADVICE`."""

    INVALID_REQUEST = Kind("invalid_request", 400, "invalid_request_error", "client", retry=False)
    FORBIDDEN_PARAMETER = Kind(
        "unsupported_parameter", 400, "invalid_request_error", "client", retry=False
    )
    MODALITY = Kind("unsupported_modality", 400, "invalid_request_error", "client", retry=False)
    OPERATION = Kind("unsupported_operation", 400, "invalid_request_error", "client", retry=False)
    CONTEXT = Kind("context_length_exceeded", 400, "invalid_request_error", "client", retry=False)
    PERSONAL = Kind("personal_data", 400, "invalid_request_error", "client", retry=False)
    CONTENT_BLOCKED = Kind("content_blocked", 400, "invalid_request_error", "client", retry=False)
    INJECTION = Kind("prompt_injection", 403, "permission_error", "client", retry=False)
    MISSING_KEY = Kind("missing_api_key", 401, "authentication_error", "client", retry=False)
    INVALID_KEY = Kind("invalid_api_key", 401, "authentication_error", "client", retry=False)
    TWO_CREDENTIALS = Kind("two_credentials", 401, "authentication_error", "client", retry=False)
    EXPIRED_KEY = Kind("expired_api_key", 401, "authentication_error", "client", retry=False)
    WRONG_ADDRESS = Kind("ip_not_authorized", 401, "authentication_error", "client", retry=False)
    INVALID_TOKEN = Kind("invalid_token", 401, "authentication_error", "client", retry=False)
    EXPIRED_TOKEN = Kind("expired_token", 401, "authentication_error", "client", retry=False)
    UNKNOWN_IDENTITY = Kind("unknown_identity", 403, "permission_error", "client", retry=False)
    WIDENED = Kind("identity_mismatch", 403, "permission_error", "client", retry=False)
    EGRESS = Kind("egress_forbidden", 403, "permission_error", "client", retry=False)
    MODEL_FORBIDDEN = Kind("model_forbidden", 403, "permission_error", "client", retry=False)
    ACCESS_DENIED = Kind("access_denied", 403, "permission_error", "client", retry=False)
    UNKNOWN_URL = Kind("unknown_url", 404, "invalid_request_error", "client", retry=False)
    UNKNOWN_MODEL = Kind("model_not_found", 404, "invalid_request_error", "client", retry=False)
    NO_TRACK = Kind("track_not_available", 404, "invalid_request_error", "client", retry=False)
    METHOD = Kind("method_not_allowed", 405, "invalid_request_error", "client", retry=False)
    TOO_LARGE = Kind("request_too_large", 413, "invalid_request_error", "client", retry=False)
    MEDIA_TYPE = Kind("unsupported_media_type", 415, "invalid_request_error", "client", retry=False)
    RATE_LIMIT = Kind("rate_limit_exceeded", 429, "rate_limit_error", "client", retry=True)
    ABOVE_LIMIT = Kind("request_above_limit", 429, "rate_limit_error", "client", retry=False)
    BUDGET = Kind("insufficient_quota", 429, "insufficient_quota", "client", retry=False)
    SATURATED = Kind("engines_saturated", 429, "rate_limit_error", "client", retry=True)
    BANNED = Kind("client_banned", 429, "rate_limit_error", "client", retry=False)
    LONG_PROMPT = Kind("prompt_too_long", 429, "rate_limit_error", "client", retry=False)
    FAULT = Kind("internal_error", 500, "server_error", "gateway", retry=True)
    OVERLOADED = Kind("gateway_overloaded", 503, "server_error", "gateway", retry=True)
    NO_ISSUER_KEYS = Kind("issuer_unavailable", 503, "server_error", "gateway", retry=True)
    NO_LIMITS = Kind("limits_unavailable", 503, "server_error", "gateway", retry=True)
    NO_DETECTOR = Kind("detector_unavailable", 503, "server_error", "gateway", retry=True)
    NO_MODERATOR = Kind("moderation_unavailable", 503, "server_error", "gateway", retry=True)
    NO_ENDPOINT = Kind("no_endpoint", 503, "server_error", "engine", retry=True)


ADVICE: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.INVALID_REQUEST: "Correct the field that the message names.",
        Reason.FORBIDDEN_PARAMETER: "Leave the parameter out that the message names.",
        Reason.MODALITY: "Send what the model takes, or pick another one.",
        Reason.OPERATION: "Use another operation, or another model.",
        Reason.CONTEXT: "Shorten the conversation, or ask for a shorter answer.",
        Reason.PERSONAL: "Leave the personal data out that the message names by its kind and place.",
        Reason.CONTENT_BLOCKED: "Say it otherwise; the message names the rule and the category.",
        Reason.INJECTION: "Leave out what orders the model about; the message names the place.",
        Reason.MISSING_KEY: "Send `Authorization: Bearer KEY`, or `x-api-key: KEY`.",
        Reason.INVALID_KEY: "Check the key; it may have been revoked.",
        Reason.TWO_CREDENTIALS: "Send one credential only.",
        Reason.EXPIRED_KEY: "Ask for a new key.",
        Reason.WRONG_ADDRESS: "Call from an address the key is for, or have yours added.",
        Reason.INVALID_TOKEN: "Get a token from an issuer this gateway trusts, meant for it.",
        Reason.EXPIRED_TOKEN: "Get a fresh token.",
        Reason.UNKNOWN_IDENTITY: "Ask for your tenant or project to be set up here.",
        Reason.WIDENED: "Leave `X-Tenant-ID` and `X-Project-ID` out, or name your own.",
        Reason.EGRESS: "Leave out what the message names, or pick a model that is served here.",
        Reason.MODEL_FORBIDDEN: "Pick a model from `GET /v1/models`, or ask for access.",
        Reason.ACCESS_DENIED: "The message names the rule; ask whoever runs this gateway.",
        Reason.UNKNOWN_URL: "Check the path: [api.md](api.md) lists what is served.",
        Reason.UNKNOWN_MODEL: "Pick a model from `GET /v1/models`.",
        Reason.NO_TRACK: "Leave `X-Routing-Strategy` out, or name a track that the model has.",
        Reason.METHOD: "Use the method in the `Allow` header.",
        Reason.TOO_LARGE: "Send less: images by URL, shorter conversations.",
        Reason.MEDIA_TYPE: "Send plain JSON as `application/json`.",
        Reason.RATE_LIMIT: "Wait for `Retry-After`; the message names the limit.",
        Reason.ABOVE_LIMIT: "Ask for less at once: no wait makes room for that much.",
        Reason.BUDGET: "Wait for the next period, or ask for a larger budget.",
        Reason.SATURATED: "Wait for `Retry-After`; requests of a higher priority go first.",
        Reason.BANNED: "Correct what was refused before; `Retry-After` says when the ban ends.",
        Reason.LONG_PROMPT: "Send shorter prompts until the time that the message names.",
        Reason.FAULT: "Try again; report the request id if it lasts.",
        Reason.OVERLOADED: "Wait for `Retry-After`, then try again.",
        Reason.NO_ISSUER_KEYS: "Wait for `Retry-After`, then try again.",
        Reason.NO_LIMITS: "Wait for `Retry-After`, then try again.",
        Reason.NO_DETECTOR: "Wait for `Retry-After`, then try again.",
        Reason.NO_MODERATOR: "Wait for `Retry-After`, then try again.",
        Reason.NO_ENDPOINT: "Wait for `Retry-After`, then try again.",
    }
)
"""What the client should do; docs/errors.md is made from it."""


class _Error(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str
    limit: Mapping[str, object] | msgspec.UnsetType = msgspec.UNSET


class _Body(msgspec.Struct, frozen=True):
    error: _Error


class _AnthropicError(msgspec.Struct, frozen=True):
    type: str
    message: str


class _AnthropicBody(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["error"] = "error"
    error: _AnthropicError
    request_id: str


def body(
    reason: Reason,
    message: str,
    param: str | None = None,
    limit: Mapping[str, object] | None = None,
) -> bytes:
    """Build the JSON body that OpenAI's SDKs understand. `limit` tells of the one that was met."""
    kind = reason.value
    met = limit or msgspec.UNSET
    return msgspec.json.encode(_Body(_Error(message, kind.type, param, kind.code, met)))


def anthropic_body(reason: Reason, message: str, request_id: str) -> bytes:
    """Build the JSON body that Anthropic's SDKs understand. The field at fault is in the message."""
    error = _AnthropicError(reason.value.anthropic_type, message)
    return msgspec.json.encode(_AnthropicBody(error=error, request_id=request_id))
