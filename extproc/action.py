"""From decisions to what Envoy is to do: pure values, carried out by `wire.py`."""

from collections.abc import Mapping, Sequence

import msgspec

from extproc import errors
from extproc.decision import Deny, Judged, Pause, Relay, Reply
from extproc.filter import AnswerMode
from extproc.request import (
    Hedge,
    Model,
    Payload,
    Request,
    Route,
    Scalar,
    Tries,
    tell_fallback,
)

NAMESPACE = "headgate"
"""Dynamic metadata that settle reads back from the access logs."""
USAGE_NAMESPACE = "headgate.usage"
"""Dynamic metadata in which `dataplane/usage.lua` leaves what the engine said of its tokens."""
ENDPOINT_NAMESPACE = "envoy.lb"
ENDPOINT_KEY = "x-gateway-destination-endpoint"
"""Endpoint Picker Protocol (proposal 004): as header and as metadata, with the same value."""
SERVED_KEY = "x-gateway-destination-endpoint-served"
"""The same protocol, the other way: what the data plane has chosen of them."""
PREFILLER_HEADER = "x-prefiller-host-port"
"""Where an engine gets a computed prompt from: as llm-d's routing proxy reads it."""
POOL_HEADER = "x-headgate-pool"
"""Selects the Envoy route, and with it the cluster. Clients' copies are stripped at the listener."""
MODEL_HEADER = "x-headgate-model"
TRACK_HEADER = "x-headgate-track"
"""For routes of others, such as Istio's VirtualService, and for engines: what was resolved."""

TRIES_NAMESPACE = "headgate.tries"
"""Dynamic metadata by which Envoy chooses the pool of each attempt, and `dataplane/upstream.lua`
makes the request fit for it."""
TRIES_HEADER = "x-headgate-tries"
"""Selects the route on which several pools are tried: `sent` or `unsent`, and the pools: `sent,a,b,`."""
RETRIES_HEADER = "x-envoy-max-retries"
RETRY_HEADER = "x-envoy-retry-on"
"""Adds to what its route is tried again for."""
PATIENCE_HEADER = "x-envoy-upstream-rq-per-try-timeout-ms"
"""How long the first try is alone, on routes that hedge."""

MOST_OWN = 4
"""Attempts in the first pool, as without alternatives."""
MOST_TRIES = 8
"""Attempts in all: `dataplane/render.py` knows it too."""

Tree = Scalar | Sequence["Tree"] | Mapping[str, "Tree"]
Metadata = Mapping[str, Mapping[str, Tree]]

MESSAGES_PATH = "/v1/messages"
"""Here, and below, clients read errors in Anthropic's shape. `dataplane/replies.py` knows it too."""

JSON = "application/json"

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
    route = request.fact(Route)
    model, body = request.fact(Model), request.fact(Payload).raw
    tries = request.find(Tries)
    # A filter that has changed the beginning since would have it cut off in the wrong place.
    if tries and not body.startswith(tries.head):
        tries = None
    attempts = line_up(model.pool, route.endpoints, tries)
    endpoints = ",".join(endpoint for _, endpoint in attempts if endpoint)
    metadata: dict[str, Mapping[str, Tree]] = {
        NAMESPACE: {**request.witness(), "policy": policy},
        ENDPOINT_NAMESPACE: {ENDPOINT_KEY: endpoints},
    }
    set_headers = {
        POOL_HEADER: model.pool,
        MODEL_HEADER: model.name,
        TRACK_HEADER: model.track,
        ENDPOINT_KEY: endpoints,
        "traceparent": request.traceparent,
    }
    if request.headers.get("content-type") != JSON:
        set_headers["content-type"] = JSON  # vLLM wants to be told, in these very words
    if route.prefiller:
        set_headers[PREFILLER_HEADER] = route.prefiller
    if tries:
        pools = [pool for pool, _ in attempts]
        metadata[TRIES_NAMESPACE] = tell_tries(model, pools, tries, len(body))
        again = "sent" if tries.may_resend else "unsent"
        set_headers[TRIES_HEADER] = ",".join((again, *dict.fromkeys(pools), ""))
        set_headers[RETRIES_HEADER] = str(len(pools) - 1)
    elif route.may_resend:
        set_headers[RETRY_HEADER] = "reset"
    if hedge := request.find(Hedge):
        set_headers[PATIENCE_HEADER] = str(hedge.after_ms)
        set_headers[RETRIES_HEADER] = "1"  # each one more would be asked besides
    return Forward(
        metadata=metadata,
        body=body,
        set_headers=set_headers,
        # A state without its parent means nothing (W3C Trace Context 3.4).
        remove_headers=SECRETS if request.keeps_trace else (*SECRETS, "tracestate"),
    )


def line_up(pool: str, endpoints: Sequence[str], tries: Tries | None) -> Sequence[tuple[str, str]]:
    """Name pool and endpoint of each attempt. Envoy takes, in each pool, the next of the endpoints
    that it has; a service elsewhere has none."""
    own = [(pool, endpoint) for endpoint in endpoints]
    if tries is None:
        return own
    others = [
        (each.model.pool, endpoint)
        for each in tries.alternatives
        for endpoint in each.endpoints or ("",)
    ]
    return [*own[:MOST_OWN], *others][:MOST_TRIES]


def tell_tries(
    first: Model, pools: Sequence[str], tries: Tries, body_bytes: int
) -> Mapping[str, Tree]:
    """Write down all that Envoy needs to go on alone. What it will say of an alternative takes the
    place of what is said of the first model: limits and ledger bill what has served."""
    return {
        "priority_groups": [{"name": pool} for pool in pools],
        "head_bytes": len(tries.head),
        "tail_bytes": body_bytes - len(tries.head),
        "pools": {
            each.model.pool: {
                "head": each.head.decode(),
                "facts": {
                    "price": "",
                    **each.model.witness(),
                    "fallback": tell_fallback(tries.source, "failed"),
                    "requested_model": tries.source,
                    "picked_pool": first.pool,
                    "picked_model": first.name,
                },
            }
            for each in tries.alternatives
        },
    }


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
            headers = {"content-type": JSON, **deny.headers}
            if deny.retry_after_s:
                headers["retry-after"] = str(deny.retry_after_s)
            if deny.allow:
                headers["allow"] = deny.allow
            if kind.status == 401:  # RFC 9110 11.6.1 asks for a challenge
                headers["www-authenticate"] = "Bearer"
            known.update(deny.witness)
            known["deny"] = kind.code
            body = error_body(judged.request, deny)
            return Answer(kind.status, body, kind.code, headers, {NAMESPACE: known})
        case Reply(body, content_type, more, witness, usage):
            headers = {"content-type": content_type, **more}
            # What its body says of usage was counted where an engine was asked.
            told = {NAMESPACE: {**known, **witness, "reply": True}}
            if usage:
                told[USAGE_NAMESPACE] = {**usage}
            return Answer(200, body, "headgate_reply", headers, told)
        case Relay() | Pause() | None:
            raise AssertionError("only a request that ends here is answered here")


def error_body(request: Request, deny: Deny) -> bytes:
    """Write a refusal in the shape of the API that the request was for, known or not."""
    path = request.path
    if path == MESSAGES_PATH or path.startswith(f"{MESSAGES_PATH}/"):
        return errors.anthropic_body(deny.reason, deny.message, request.request_id)
    return errors.body(deny.reason, deny.message, deny.param, deny.limit)
