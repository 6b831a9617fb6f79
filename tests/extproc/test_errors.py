"""Refusals: what the client, the operator and retry logic read from each."""

import re

import msgspec
import pytest

from extproc import errors
from extproc.errors import DownstreamGoneError, HeadgateError, PolicyError, Reason, WireError

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_of_one_piece(reason):
    kind = reason.value
    assert re.fullmatch("[a-z_]+", kind.code), "it is a metric label and one word for Envoy's log"
    # OpenAI's own word for an empty budget: its SDKs' users look for it.
    assert kind.type == ("insufficient_quota" if reason is Reason.BUDGET else TYPES[kind.status])
    assert (kind.blame == "client") == (kind.status < 500)
    later = kind.status >= 500 or reason in (Reason.RATE_LIMIT, Reason.SATURATED)
    assert kind.retry == later, "the same request will not be right the next time"


def test_codes_tell_reasons_apart():
    codes = [reason.value.code for reason in Reason]
    assert len(set(codes)) == len(codes) == len(list(Reason)), "enum members merge when equal"


@pytest.mark.parametrize("reason", Reason)
def test_the_body_is_in_openai_shape(reason):
    read = msgspec.json.decode(errors.body(reason, "No.", "messages[0].role"))
    kind = reason.value
    expected = {
        "message": "No.", "type": kind.type, "param": "messages[0].role", "code": kind.code,
    }  # fmt: skip
    assert read == {"error": expected}


def test_the_body_tells_programs_of_the_limit_that_was_met():
    raw = errors.body(Reason.RATE_LIMIT, "No.", limit={"name": "user-tpm", "remaining": 3})
    assert msgspec.json.decode(raw)["error"]["limit"] == {"name": "user-tpm", "remaining": 3}


ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


@pytest.mark.parametrize("reason", Reason)
def test_the_body_is_in_anthropic_shape(reason):
    raw = errors.anthropic_body(reason, "No.", 'r"1')
    error = {"type": ANTHROPIC_TYPES[reason.value.status], "message": "No."}
    assert msgspec.json.decode(raw) == {"type": "error", "error": error, "request_id": 'r"1'}
    assert raw.startswith(b'{"type":"error",')


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_what_to_do(reason):
    assert errors.ADVICE[reason].endswith(".")


def test_param_is_null_when_no_field_is_at_fault():
    assert msgspec.json.decode(errors.body(Reason.FAULT, "x"))["error"]["param"] is None


@pytest.mark.parametrize("message", ['"quoted" \\ and \n broken', "grüße, 世界 🌍", "\x00\x1f\x7f"])
def test_any_message_survives_json(message):
    raw = errors.body(Reason.INVALID_REQUEST, message)
    assert msgspec.json.decode(raw)["error"]["message"] == message


@pytest.mark.parametrize(
    "exc", [PolicyError("x"), WireError("order", "x"), DownstreamGoneError("x")]
)
def test_every_exception_is_one_of_ours(exc):
    assert isinstance(exc, HeadgateError)
    assert str(exc) == "x"


def test_exceptions_carry_what_their_catchers_need():
    assert WireError("order", "x").kind == "order"
    assert isinstance(PolicyError("x"), ValueError), "pydantic and typer take it for bad input"
