"""Envoy's own answers in the client's shape: what it sees when no engine and no filter has spoken."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from dataplane.gateway import MIB, Gateway

Filter = Mapping[str, object]
"""An `envoy.config.accesslog.v3.AccessLogFilter`, as its YAML says it."""


def knowing(key: str) -> Filter:
    """Requests of which Headgate has said this much in its metadata."""
    matcher = {"filter": "headgate", "path": [{"key": key}], "value": {"present_match": True}}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


FOR_ANTHROPIC: Filter = {
    "header_filter": {
        "header": {
            "name": ":path",
            "string_match": {"safe_regex": {"regex": "/v1/messages([/?].*)?"}},
        }
    }
}
"""Requests whose clients read errors in Anthropic's shape: `extproc/action.py` draws the same line."""

ITS_OPERATIONS: Filter = {
    "metadata_filter": {
        "matcher": {
            "filter": "headgate",
            "path": [{"key": "operation"}],
            "value": {"string_match": {"safe_regex": {"regex": "messages|count_tokens"}}},
        },
        "match_if_key_not_found": False,
    }
}
"""The same, once the path is that of a service elsewhere."""

ANTHROPIC_TYPES = {
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    503: "overloaded_error",
    504: "timeout_error",
}
"""As in `extproc/errors.py`, for the statuses that Envoy answers with."""


@dataclass(frozen=True, slots=True)
class LocalReply:
    """One row: which of Envoy's answers, and what is said instead. The first row that fits is taken."""

    status: int
    code: str
    message: str
    knowing: str = ""
    """Only when Headgate's metadata has this: with a `pool` it is the engines that failed, with a
    `sidecar` that service."""
    and_above: bool = False
    """Any status from this one up, not this one only."""
    sent_as: int = 0
    """Another status to answer with; 0 keeps Envoy's."""
    retry_after_s: int = 0
    """0 sends no Retry-After: trying the same again would not help."""

    @property
    def filter(self) -> Filter:
        comparison = {
            "op": "GE" if self.and_above else "EQ",
            # Envoy wants a name under which the figure could be overridden at runtime.
            "value": {"default_value": self.status, "runtime_key": f"headgate.reply.{self.status}"},
        }
        status: Filter = {"status_code_filter": {"comparison": comparison}}
        return (
            {"and_filter": {"filters": [status, knowing(self.knowing)]}} if self.knowing else status
        )

    @property
    def anthropic_filter(self) -> Filter:
        is_its = {"or_filter": {"filters": [FOR_ANTHROPIC, ITS_OPERATIONS]}}
        return {"and_filter": {"filters": [is_its, self.filter]}}

    @property
    def sent_status(self) -> int:
        return self.sent_as or self.status

    @property
    def body(self) -> str:
        """The error body, as a format string: a percent sign of our own is written twice."""
        kind = "server_error" if self.sent_status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).replace("%", "%%")

    @property
    def anthropic_type(self) -> str:
        fallback = "api_error" if self.sent_status >= 500 else "invalid_request_error"
        return ANTHROPIC_TYPES.get(self.sent_status, fallback)

    @property
    def anthropic_body(self) -> Mapping[str, object]:
        """The same as a tree of format strings, in which Envoy escapes what it fills in."""
        error = {"type": self.anthropic_type, "message": self.message.replace("%", "%%")}
        return {"type": "error", "error": error, "request_id": "%REQ(X-REQUEST-ID):256%"}


def local_replies(gateway: Gateway) -> tuple[LocalReply, ...]:
    """The table, most particular rows first; every status from 400 up falls into one of them."""
    return (
        LocalReply(400, "invalid_http_request", "This is not a valid HTTP request."),
        # An unknown transfer-encoding: the client's fault, whatever RFC 9112 calls it.
        LocalReply(
            501, "invalid_http_request", "This transfer-encoding is not supported.", sent_as=400
        ),
        LocalReply(403, "upgrade_not_supported", "Protocol upgrades are not supported here."),
        LocalReply(404, "unknown_url", "There is nothing at this path."),
        LocalReply(408, "request_timeout", "The request did not arrive completely in time."),
        LocalReply(
            413, "request_too_large", f"The request body exceeds {gateway.body_bytes / MIB:g} MiB."
        ),
        LocalReply(426, "http_version_not_supported", "Please use HTTP/1.1 or HTTP/2."),
        LocalReply(431, "headers_too_large", "The request headers exceed 60 KiB or 100 fields."),
        LocalReply(
            503,
            "engine_unavailable",
            "No engine could take this request. Please try again.",
            knowing="pool",
            retry_after_s=1,
        ),
        LocalReply(
            503,
            "service_unavailable",
            "The service behind this path does not answer. Please try again.",
            knowing="sidecar",
            retry_after_s=1,
        ),
        LocalReply(
            503,
            "gateway_unavailable",
            "The gateway could not decide on this request. Please try again.",
            retry_after_s=1,
        ),
        LocalReply(504, "gateway_timeout", "The answer did not come in time."),
        LocalReply(500, "internal_error", "The gateway failed on this request.", and_above=True),
        LocalReply(400, "invalid_request", "The request was refused.", and_above=True),
    )
