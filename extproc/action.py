"""From decisions to what Envoy is to do: pure values, carried out by `wire.py`."""

from collections.abc import Mapping

import msgspec

from extproc import errors
from extproc.decision import Deny, Judged, Pause, Relay, Reply
from extproc.filter import AnswerMode
from extproc.request import Model, Payload, Request, Route, Scalar

NAMESPACE = "headgate"
"""Dynamic metadata that settle reads back from the access logs."""
USAGE_NAMESPACE = "headgate.usage"
"""Dynamic metadata in which `dataplane/usage.lua` leaves what the engine said of its tokens."""
ENDPOINT_NAMESPACE = "envoy.lb"
ENDPOINT_KEY = "x-gateway-destination-endpoint"
"""Endpoint Picker Protocol (proposal 004): as header and as metadata, with the same value."""
POOL_HEADER = "x-headgate-pool"
"""Selects the Envoy route, and with it the cluster. Clients' copies are stripped at the listener."""
MODEL_HEADER = "x-headgate-model"
TRACK_HEADER = "x-headgate-track"
"""For routes of others, such as Istio's VirtualService, and for engines: what was resolved."""

Metadata = Mapping[str, Mapping[str, Scalar]]

MESSAGES_PATH = "/v1/messages"
"""Here, and below, clients read errors in Anthropic's shape. `dataplane/replies.py` knows it too."""

SECRETS = ("authorization", "x-api-key", "api-key", "proxy-authorization", "cookie")
"""Request headers that no engine may see."""


class Admit(msgspec.Struct, frozen=True):
    """Let the headers pass; what happens to the request is known only with its body."""

    metadata: Metadata
    answer: AnswerMode = AnswerMode.NONE


class Forward(msgspec.Struct, frozen=True):
    """Send the request on, as rewritten, to these endpoints."""

    metadata: Metadata
    body: bytes
    set_headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    remove_headers: tuple[str, ...] = ()


class HandOver(msgspec.Struct, frozen=True):
    """Send the request to a service beside the gateway as it is, told who asks."""

    metadata: Metadata
    set_headers: Mapping[str, str]
    remove_headers: tuple[str, ...] = SECRETS


class Answer(msgspec.Struct, frozen=True):
    """Answer the client ourselves; no engine hears of the request."""

    status: int
    body: bytes
    details: str
    """One word for Envoy's log, `%RESPONSE_CODE_DETAILS%`."""
    headers: Mapping[str, str]
    metadata: Metadata


def admit(request: Request, answer: AnswerMode, policy: str) -> Admit:
    """Let the headers pass, with the settle key and the identity.

    They go already here because a request that dies while its body is read leaves no other trace:
    Envoy logs nothing of metadata that only the body reply would have set.
    """
    return Admit({NAMESPACE: {**request.witness(), "policy": policy}}, answer)


def forward(request: Request, policy: str) -> Forward:
    """Build what goes upstream."""
    endpoints = ",".join(request.fact(Route).endpoints)
    model = request.fact(Model)
    return Forward(
        metadata={
            NAMESPACE: {**request.witness(), "policy": policy},
            ENDPOINT_NAMESPACE: {ENDPOINT_KEY: endpoints},
        },
        body=request.fact(Payload).raw,
        set_headers={
            POOL_HEADER: model.pool,
            MODEL_HEADER: model.name,
            TRACK_HEADER: model.track,
            ENDPOINT_KEY: endpoints,
            "traceparent": request.traceparent,
        },
        # A state without its parent means nothing (W3C Trace Context 3.4).
        remove_headers=SECRETS if request.keeps_trace else (*SECRETS, "tracestate"),
    )


def hand_over(request: Request, relay: Relay, policy: str) -> HandOver:
    """Build what goes to a sidecar. The metadata names it: Envoy's answer filter and its own error
    answers then know that no engine is concerned."""
    return HandOver(
        metadata={NAMESPACE: {**request.witness(), "policy": policy, "sidecar": relay.pool}},
        set_headers={
            **relay.headers,
            POOL_HEADER: relay.pool,
            "traceparent": request.traceparent,
        },
    )


def stop(judged: Judged, policy: str) -> Answer:
    """Answer for the gateway: a refusal in the client's shape, or a reply that needs no engine."""
    known: dict[str, Scalar] = {**judged.request.witness(), "policy": policy}
    match judged.stop:
        case Deny() as deny:
            kind = deny.reason.value
            headers = {"content-type": "application/json", **deny.headers}
            if deny.retry_after_s:
                headers["retry-after"] = str(deny.retry_after_s)
            if deny.allow:
                headers["allow"] = deny.allow
            if kind.status == 401:  # RFC 9110 11.6.1 asks for a challenge
                headers["www-authenticate"] = "Bearer"
            known["deny"] = kind.code
            body = error_body(judged.request, deny)
            return Answer(kind.status, body, kind.code, headers, {NAMESPACE: known})
        case Reply(body, content_type):
            headers = {"content-type": content_type}
            return Answer(200, body, "headgate_reply", headers, {NAMESPACE: known})
        case Relay() | Pause() | None:
            raise AssertionError("only a request that ends here is answered here")


def error_body(request: Request, deny: Deny) -> bytes:
    """Write a refusal in the shape of the API that the request was for, known or not."""
    path = request.path
    if path == MESSAGES_PATH or path.startswith(f"{MESSAGES_PATH}/"):
        return errors.anthropic_body(deny.reason, deny.message, request.request_id)
    return errors.body(deny.reason, deny.message, deny.param, deny.limit)
