"""From decisions to what Envoy is to do: pure values, carried out by `wire.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from extproc import errors
from extproc.budget import MAX_BODY_BYTES
from extproc.decision import Deny, Judged, Reply
from extproc.errors import Reason
from extproc.filter import AnswerMode
from extproc.request import Model, Prompt, Request, Route, Scalar

NAMESPACE = "headgate"
"""Dynamic metadata that settle reads back from the access logs."""
ENDPOINT_NAMESPACE = "envoy.lb"
ENDPOINT_KEY = "x-gateway-destination-endpoint"
"""Endpoint Picker Protocol (proposal 004): as header and as metadata, with the same value."""
POOL_HEADER = "x-headgate-pool"
"""Selects the Envoy route, and with it the cluster. Clients' copies are stripped at the listener."""

Metadata = Mapping[str, Mapping[str, Scalar]]

SECRETS = ("authorization", "x-api-key", "api-key", "proxy-authorization", "cookie")
"""Request headers that no engine may see."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Let the headers pass; what happens to the request is known only with its body."""

    metadata: Metadata
    answer: AnswerMode = AnswerMode.NONE


@dataclass(frozen=True, slots=True)
class Forward:
    """Send the request on, as rewritten, to these endpoints."""

    metadata: Metadata
    body: bytes
    set_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    remove_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
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


def forward(request: Request, policy: str) -> Forward | Deny:
    """Build what goes upstream; refuse what has grown too large on the way.

    The body is encoded anew even when no filter changed it: duplicate members and odd escapes then
    cannot mean one thing to us and another to an engine.
    """
    body = msgspec.json.encode(request.fact(Prompt).document)
    if len(body) > MAX_BODY_BYTES:  # 1e15 is sent on as 1000000000000000.0
        return Deny(Reason.TOO_LARGE, f"The request body is larger than {MAX_BODY_BYTES} bytes.")
    endpoints = ",".join(request.fact(Route).endpoints)
    return Forward(
        metadata={
            NAMESPACE: {**request.witness(), "policy": policy},
            ENDPOINT_NAMESPACE: {ENDPOINT_KEY: endpoints},
        },
        body=body,
        set_headers={
            POOL_HEADER: request.fact(Model).pool,
            ENDPOINT_KEY: endpoints,
            "traceparent": request.traceparent,
        },
        # A state without its parent means nothing (W3C Trace Context 3.4).
        remove_headers=SECRETS if request.keeps_trace else (*SECRETS, "tracestate"),
    )


def stop(judged: Judged, policy: str) -> Answer:
    """Answer for the gateway: a refusal in OpenAI's shape, or a reply that needs no engine."""
    known: dict[str, Scalar] = {**judged.request.witness(), "policy": policy}
    match judged.stop:
        case Deny() as deny:
            kind = deny.reason.value
            headers = {"content-type": "application/json"}
            if deny.retry_after_s:
                headers["retry-after"] = str(deny.retry_after_s)
            if deny.allow:
                headers["allow"] = deny.allow
            if kind.status == 401:  # RFC 9110 11.6.1 asks for a challenge
                headers["www-authenticate"] = "Bearer"
            known["deny"] = kind.code
            body = errors.body(deny.reason, deny.message, deny.param)
            return Answer(kind.status, body, kind.code, headers, {NAMESPACE: known})
        case Reply(body, content_type):
            headers = {"content-type": content_type}
            return Answer(200, body, "headgate_reply", headers, {NAMESPACE: known})
        case None:
            raise AssertionError("only a stopped request is answered here")
