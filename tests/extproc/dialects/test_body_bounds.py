"""What a body may cost us, and what a refusal repeats of it."""

import json

import msgspec
import pytest

from extproc.budget import MAX_BODY_BYTES
from extproc.decision import Deny
from extproc.dialects.body import MAX_BRACKETS
from extproc.dialects.shapes import read
from extproc.errors import Reason
from extproc.request import Kind, Prompt


def complete(**members):
    return read(Kind.COMPLETIONS, json.dumps({"model": "m", "prompt": "x", **members}).encode())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Kind.CHAT, {"messages": [{"role": "s" * 100_000}]}),
        (Kind.CHAT, {"messages": [{"role": "user", "content": [{"type": "t" * 100_000}]}]}),
        (Kind.EMBEDDINGS, {"input": "x", "encoding_format": "s" * 100_000}),
        (Kind.COMPLETIONS, {"prompt": "x", "stream": "s" * 100_000}),
    ],
)
def test_a_refusal_does_not_echo_what_was_sent(kind, body):
    denied = read(kind, json.dumps({"model": "m", **body}).encode())
    assert denied.param
    assert len(denied.message) < 400


@pytest.mark.parametrize(
    "value", ["missing required field `foo`", "Object missing required field `foo`"]
)
def test_a_value_cannot_forge_the_name_of_the_field(value):
    body = {"model": "m", "messages": [{"role": value}]}
    denied = read(Kind.CHAT, json.dumps(body).encode())
    assert denied.param == "messages[0].role"
    assert "is required" not in denied.message


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000])
def test_a_number_out_of_range_is_not_a_wrong_shape(number):
    raw = f'{{"model":"m","prompt":"x","seed":{number}}}'.encode()
    denied = read(Kind.COMPLETIONS, raw)
    assert denied.reason is Reason.INVALID_REQUEST
    assert denied.message == "The request body has a number that is out of range."


@pytest.mark.parametrize("unit", [b"[1]", b"[]", b"{}", b"[["])
def test_more_brackets_than_any_prompt_has_are_refused_unread(unit):
    """Parsing the largest body of nothing else would take a second and half a gigabyte."""
    count = (MAX_BODY_BYTES - 100) // (len(unit) + 1)
    raw = b'{"model":"m","prompt":"x","x":[' + b",".join([unit] * count) + b"]}"
    denied = read(Kind.COMPLETIONS, raw)
    assert isinstance(denied, Deny)
    assert denied.message == "The request body has too many arrays and objects."


@pytest.mark.parametrize(("more", "passes"), [(0, True), (1, False)])
def test_brackets_are_counted_wherever_they_stand(more, passes):
    found = complete(prompt="[{" * (MAX_BRACKETS // 2 - 1) + "[" * (1 + more))
    assert isinstance(found, Prompt) is passes


@pytest.mark.parametrize(
    ("kind", "body", "member"),
    [
        (Kind.CHAT, {"messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        (Kind.CHAT, {"messages": [{"role": "user", "content": "x"}]}, "max_completion_tokens"),
        (Kind.COMPLETIONS, {"prompt": "x"}, "max_tokens"),
        (Kind.EMBEDDINGS, {"input": "x"}, "dimensions"),
    ],
)
def test_counts_fit_32_bits(kind, body, member):
    for count, passes in ((2**31 - 1, True), (2**31, False), (10**30, False)):
        found = read(kind, msgspec.json.encode({"model": "m", **body, member: count}))
        assert isinstance(found, Prompt) is passes
        assert passes or found.param == member
