"""Decisions -> what Envoy is told to do."""

import msgspec
import pytest

from extproc import action
from extproc.decision import Deny, Judged, Relay, Reply
from extproc.errors import Reason
from extproc.filter import AnswerMode
from extproc.request import (
    Alternative,
    Identity,
    Kind,
    Model,
    Operation,
    Payload,
    Prompt,
    Route,
    Tries,
)
from tests.extproc.requests import BARE, TRACE, TRACE_ID, bare


def ready(raw=b'{"model":"m"}', **headers):
    return (
        bare(headers=headers)
        .having(Operation(Kind.COMPLETIONS))
        .having(Identity("acme", "key-1"))
        .having(Prompt({"model": "m"}, "m", stream=True))
        .having(Model("m", "pool-a", "m"))
        .having(Payload(raw))
        .having(Route(("10.0.0.1:80", "[::1]:81")))
    )


def test_admit_carries_what_is_known_and_the_wish():
    admit = action.admit(BARE.having(Identity("acme", "key-1")), AnswerMode.STREAMED, "v1")
    assert admit.metadata == {
        "headgate": {
            "settle_key": "k1",
            "trace_id": TRACE_ID,
            "tenant": "acme",
            "key_id": "key-1",
            "policy": "v1",
        }
    }
    assert admit.answer is AnswerMode.STREAMED


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "application/json"),
        ({"content-type": "Application/JSON ; charset=utf-8"}, "application/json"),
        ({"content-type": "application/json"}, None),
    ],
)
def test_engines_are_told_that_a_body_is_json(given, said):
    """vLLM takes none that does not say so, and we take those."""
    forward = action.forward(ready(**given), "v1")
    assert forward.set_headers.get("content-type") == said


def test_handing_over_names_the_sidecar_and_keeps_what_the_client_sent_as_a_secret():
    request = BARE.having(Operation(Kind.USAGE)).having(Identity("acme", "key-1"))
    relay = Relay("sidecar/ledger", {"x-headgate-tenant": "acme"})
    handed = action.hand_over(request, relay, "v1")
    assert handed.set_headers == {
        "x-headgate-tenant": "acme",
        "x-headgate-pool": "sidecar/ledger",
        "traceparent": TRACE,
    }
    known = handed.metadata["headgate"]
    assert (known["operation"], known["tenant"]) == ("usage", "acme")
    assert known["sidecar"] == "sidecar/ledger"
    assert "pool" not in known, "no pool of engines served it"
    assert handed.remove_headers == action.SECRETS


def test_forward_names_where_the_computed_prompt_comes_from():
    route = Route(("10.0.0.1:80",), prefiller="10.0.0.9:80")
    forward = action.forward(ready().having(route), "v1")
    assert forward.set_headers["x-prefiller-host-port"] == "10.0.0.9:80"
    assert forward.metadata["headgate"]["prefiller"] == "10.0.0.9:80"


@pytest.mark.parametrize("may_resend", [False, True])
def test_only_what_may_be_sent_again_is_tried_again_when_an_engine_may_have_begun(may_resend):
    route = Route(("10.0.0.1:80",), may_resend=may_resend)
    sent = action.forward(ready().having(route), "v1").set_headers
    assert sent.get("x-envoy-retry-on") == ("reset" if may_resend else None)


def test_forward_names_the_endpoints_as_header_and_as_metadata():
    forward = action.forward(ready(), "v1")
    assert forward.metadata["envoy.lb"] == {
        "x-gateway-destination-endpoint": "10.0.0.1:80,[::1]:81"
    }
    assert forward.set_headers == {
        "x-headgate-pool": "pool-a",
        "x-headgate-model": "m",
        "x-headgate-track": "stable",
        "x-gateway-destination-endpoint": "10.0.0.1:80,[::1]:81",
        "traceparent": TRACE,
        "content-type": "application/json",
    }
    assert forward.metadata["headgate"] == {
        "settle_key": "k1",
        "trace_id": TRACE_ID,
        "operation": "completions",
        "tenant": "acme",
        "key_id": "key-1",
        "model": "m",
        "pool": "pool-a",
        "track": "stable",
        "version": "1",
        "stream": True,
        "policy": "v1",
    }


@pytest.mark.parametrize(
    "name", ["authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"]
)
def test_no_engine_sees_a_credential(name):
    forward = action.forward(ready(**{name: "Bearer s3cret"}), "v1")
    assert name in forward.remove_headers
    assert "s3cret" not in repr(forward)


@pytest.mark.parametrize(
    ("given", "kept"), [(TRACE, True), (None, False), (TRACE + ",x", False), ("garbage", False)]
)
def test_a_trace_state_goes_on_beside_its_parent_only(given, kept):
    headers = {"tracestate": "a=1"} | ({"traceparent": given} if given else {})
    forward = action.forward(ready(**headers), "v1")
    assert ("tracestate" not in forward.remove_headers) is kept
    assert forward.set_headers["traceparent"] == TRACE


def test_the_body_is_the_payload_byte_for_byte():
    raw = b'{"model":"m","prompt":"\xe4\xb8\x96 \\u0000","seed":9223372036854775808}'
    assert action.forward(ready(raw), "v1").body == raw


@pytest.mark.parametrize("missing", [Route, Payload, Model])
def test_forwarding_without_a_decision_is_a_bug(missing):
    known = ready()
    facts = {kind: fact for kind, fact in known.facts.items() if kind is not missing}
    with pytest.raises(KeyError):
        action.forward(bare(facts=facts), "v1")


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal(reason):
    answer = action.stop(Judged(BARE, Deny(reason, "No.", "model")), "v1")
    kind = reason.value
    assert answer.status == kind.status
    error = msgspec.json.decode(answer.body)["error"]
    assert (error["code"], error["message"], error["param"]) == (kind.code, "No.", "model")
    assert answer.details == kind.code
    assert answer.headers["content-type"] == "application/json"
    assert ("www-authenticate" in answer.headers) == (kind.status == 401)
    assert not {"retry-after", "allow"} & set(answer.headers)
    expected = {"settle_key": "k1", "trace_id": TRACE_ID, "policy": "v1", "deny": kind.code}
    assert answer.metadata == {"headgate": expected}


@pytest.mark.parametrize("allowed", ["GET", "POST"])
def test_a_wrong_method_is_told_the_right_one(allowed):
    deny = Deny(Reason.METHOD, "No.", allow=allowed)
    assert action.stop(Judged(BARE, deny), "v1").headers["allow"] == allowed


@pytest.mark.parametrize(("seconds", "header"), [(0, None), (1, "1"), (3600, "3600")])
def test_retry_after(seconds, header):
    deny = Deny(Reason.OVERLOADED, "Later.", retry_after_s=seconds)
    assert action.stop(Judged(BARE, deny), "v1").headers.get("retry-after") == header


def test_a_reply_is_a_200_and_no_denial():
    judged = Judged(BARE.having(Operation(Kind.MODELS)), Reply(b"[]", "text/plain"))
    answer = action.stop(judged, "v1")
    assert (answer.status, answer.body) == (200, b"[]")
    assert answer.headers == {"content-type": "text/plain"}
    assert answer.metadata == {
        "headgate": {
            "settle_key": "k1",
            "trace_id": TRACE_ID,
            "operation": "models",
            "policy": "v1",
            "reply": True,
        }
    }


@pytest.mark.parametrize("stop", [Deny(Reason.FAULT, "x"), Reply(b"")])
def test_details_are_one_word_for_envoy(stop):
    details = action.stop(Judged(BARE, stop), "v1").details
    assert details
    assert " " not in details


@pytest.mark.parametrize(
    ("path", "is_anthropic"),
    [
        ("/v1/messages", True),
        ("/v1/messages/count_tokens", True),
        ("/v1/messages/batches", True),
        ("/v1/messagesx", False),
        ("/v1/chat/completions", False),
        ("/v1/responses", False),
        ("", False),
    ],
)
def test_a_refusal_is_in_the_shape_of_the_api_that_was_meant(path, is_anthropic):
    judged = Judged(msgspec.structs.replace(BARE, path=path), Deny(Reason.UNKNOWN_URL, "No."))
    document = msgspec.json.decode(action.stop(judged, "v1").body)
    if is_anthropic:
        error = {"type": "not_found_error", "message": "No."}
        assert document == {"type": "error", "error": error, "request_id": BARE.request_id}
    else:
        assert document["error"]["code"] == "unknown_url"


def test_going_on_is_not_stopping():
    with pytest.raises(AssertionError):
        action.stop(Judged(BARE, None), "v1")


def test_where_it_may_go_on_travels_with_it():
    raw = b'{"model":"m","seed":1}'
    other = Model("other", "pool-b", "o", price="1/1/2")
    tries = Tries(
        "m",
        b'{"model":"m"',
        (Alternative(other, b'{"model":"o"', ("10.0.0.9:80",)),),
        may_resend=True,
    )
    sent = action.forward(ready(raw).having(tries), "v1")
    assert sent.set_headers["x-headgate-tries"] == "sent,pool-a,pool-b,"
    assert sent.set_headers["x-envoy-max-retries"] == "2"
    named = "10.0.0.1:80,[::1]:81,10.0.0.9:80"
    assert sent.metadata["envoy.lb"]["x-gateway-destination-endpoint"] == named
    told = sent.metadata["headgate.tries"]
    assert [each["name"] for each in told["priority_groups"]] == ["pool-a", "pool-a", "pool-b"]
    assert (told["head_bytes"], told["tail_bytes"]) == (12, len(raw) - 12)
    assert told["pools"]["pool-b"]["head"] == '{"model":"o"'
    assert told["pools"]["pool-b"]["facts"] == {
        "model": "other", "pool": "pool-b", "track": "stable", "version": "1", "price": "1/1/2",
        "fallback": "from=m; reason=failed", "requested_model": "m", "picked_pool": "pool-a",
        "picked_model": "m",
    }  # fmt: skip


def test_a_beginning_that_has_changed_since_is_not_cut_off():
    tries = Tries("m", b'{"model":"x"', (Alternative(Model("o", "b", "o"), b"{"),), True)
    sent = action.forward(ready(b'{"model":"m"}').having(tries), "v1")
    assert "x-headgate-tries" not in sent.set_headers
    assert "headgate.tries" not in sent.metadata


def test_a_list_has_an_end():
    here = tuple(Alternative(Model("o", f"p{n}", "o"), b"{", ("1", "2")) for n in range(9))
    found = action.line_up("a", [str(n) for n in range(9)], Tries("m", b"{", here, True))
    assert [pool for pool, _ in found] == ["a"] * 4 + ["p0", "p0", "p1", "p1"]
    elsewhere = (Alternative(Model("o", "x", "o"), b"{"), *here[:1])
    found = action.line_up("a", ["0"], Tries("m", b"{", elsewhere, True))
    assert found == [("a", "0"), ("x", ""), ("p0", "1"), ("p0", "2")]
    assert action.line_up("a", ["0", "1"], None) == [("a", "0"), ("a", "1")]
