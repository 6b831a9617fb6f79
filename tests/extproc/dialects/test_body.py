"""Request bodies as bytes: whatever comes, it is read or refused, and what is read is sent on."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.decision import Deny
from extproc.dialects.shapes import SHAPES, read
from extproc.errors import Reason
from extproc.request import Kind
from tests.extproc.dialects.bodies import MINIMAL


def nested(depth):
    return b'{"model":"m","prompt":"x","deep":' + b"[" * depth + b"]" * depth + b"}"


PLANTED = [
    ("kv_transfer_params", {"do_remote_prefill": True, "remote_host": "10.0.0.9"}),
    ("ec_transfer_params", {"do_remote_prefill": True}),
    ("bootstrap_host", "10.0.0.9"),
    ("bootstrap_port", 0),
    ("bootstrap_room", 7),
    ("vllm_xargs", {"kv_transfer_params": "x"}),
]


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(("name", "value"), PLANTED)
def test_what_engines_say_to_each_other_is_not_for_clients(kind, name, value):
    """It names the engine to get a computed prompt from, and whose: another tenant's."""
    refused = read(kind, json.dumps(MINIMAL[kind] | {name: value}).encode())
    assert isinstance(refused, Deny)
    assert (refused.reason, refused.param) == (Reason.INVALID_REQUEST, name)


@pytest.mark.parametrize(
    "members", [dict.fromkeys(name for name, _ in PLANTED), {"vllm_xargs": {"top_n": 1}}]
)
def test_what_says_nothing_to_engines_passes(members):
    prompt = read(Kind.CHAT, json.dumps(MINIMAL[Kind.CHAT] | members).encode())
    assert prompt.document.items() >= members.items()


SEPARATOR = "\N{LINE SEPARATOR}".encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'[{"model":"m","prompt":"x"}]',
        b'"model"',
        b"0",
        b"true",
        b"{",
        b"{}}",
        b"{} {}",
        b'{"model":"m","prompt":"x"',
        b'{"model":"m","prompt":"x",}',
        b"{'model':'m'}",
        b'{model:"m"}',
        b'{"model":"m" /* no */}',
        b'{"model":"m","prompt":"x","temperature":NaN}',
        b'{"model":"m","prompt":"x","temperature":Infinity}',
        b'{"model":"m","prompt":"x","temperature":1e400}',
        b'{"model":"m","prompt":"x","seed":01}',
        b'{"model":"m","prompt":"x","seed":+1}',
        b'{"model":"m","prompt":"x","seed":1.}',
        b'{"model":"m","prompt":"x","seed":' + b"9" * 5000 + b"}",
        b'{"model":"m","prompt":"\xff"}',
        b'{"model":"m","prompt":"\xc0\xaf"}',
        b'{"model":"m","prompt":"\xed\xa0\x80"}',
        b'{"model":"m","prompt":"x","\xff":1}',
        b'{"model":"m","prompt":"\\ud800"}',
        b'{"model":"m","prompt":"\\udc00\\ud800"}',
        b'{"model":"m","prompt":"\\ud800x"}',
        b'{"model":"m","prompt":"x","\\ud800":1}',
        b'{"model":"m","prompt":"a\nb"}',
        b'{"model":"m","prompt":"\x00"}',
        b'{"model":"m","prompt":"\\x41"}',
        b"\xef\xbb\xbf" + b'{"model":"m","prompt":"x"}',
        '{"model":"m","prompt":"x"}'.encode("utf-16"),
        b'{"model":"m",' + SEPARATOR + b'"prompt":"x"}',
        b"model=m&prompt=x",
        b"<model>m</model>",
        b"\x00",
        b"\x1f\x8b\x08\x00",
        nested(10_000),
        nested(1_000_000),
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_no_json_object(raw):
    denied = read(Kind.COMPLETIONS, raw)
    assert isinstance(denied, Deny)
    assert (denied.reason, denied.param) == (Reason.INVALID_REQUEST, None)
    assert denied.message.startswith("The request body ")
    assert denied.message.endswith(".")
    assert not denied.message.endswith("..")
    assert len(denied.message) < 150


def test_nesting_within_reason_passes_and_can_be_sent_on():
    prompt = read(Kind.COMPLETIONS, nested(500))
    assert msgspec.json.decode(msgspec.json.encode(prompt.document)) == prompt.document


@pytest.mark.parametrize(
    ("raw", "document"),
    [
        (b'{"model":"a","model":"m","prompt":"x"}', {"model": "m", "prompt": "x"}),
        (b'{"model":"m","n":"bad","n":1,"prompt":"x"}', {"model": "m", "n": 1, "prompt": "x"}),
        (b'{"\\u006dodel":"m","prompt":"x"}', {"model": "m", "prompt": "x"}),
        (
            b'{"model":"m","prompt":"\\ud83d\\ude00"}',
            {"model": "m", "prompt": "\N{GRINNING FACE}"},
        ),
        (b' \r\n\t{"model":"m" , "prompt":"x"}\n', {"model": "m", "prompt": "x"}),
        (
            b'{"model":"m","prompt":"x","":{"":[]}}',
            {"model": "m", "prompt": "x", "": {"": []}},
        ),
    ],
)
def test_one_meaning_only_is_checked_and_sent(raw, document):
    """Of duplicate members the last counts, for the check and for the engine alike."""
    prompt = read(Kind.COMPLETIONS, raw)
    assert (prompt.document, prompt.model) == (document, "m")


def test_a_large_body_is_read():
    turns = [{"role": "user", "content": "x" * 4_000_000}] * 2
    prompt = read(Kind.CHAT, json.dumps({"model": "m", "messages": turns}).encode())
    assert len(prompt.document["messages"][1]["content"]) == 4_000_000


KINDS = st.sampled_from(list(SHAPES))
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
"""Lone surrogates too."""
NUMBERS = st.integers() | st.floats() | st.integers(-(10**400), 10**400)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
MEMBERS = sorted(
    {f.encode_name for shape in SHAPES.values() for f in msgspec.structs.fields(shape)}
)
INNER = ["role", "content", "type", "function", "name", "arguments", "parameters", "tool_calls"]


def check(kind, raw):
    """Whatever comes is read or refused; what is read can be sent on, and means the same."""
    found = read(kind, raw)
    if isinstance(found, Deny):
        assert found.reason is Reason.INVALID_REQUEST
        assert found.message
        msgspec.json.encode([found.message, found.param])
        return
    sent = msgspec.json.encode(found.document)
    assert json.loads(sent) == json.loads(raw)
    assert json.loads(raw)["model"] == found.model


@settings(deadline=None)
@given(KINDS, st.binary(max_size=200))
def test_any_bytes(kind, raw):
    check(kind, raw)


@settings(deadline=None)
@given(KINDS, JSON)
def test_any_json(kind, value):
    check(kind, json.dumps(value).encode())


@settings(deadline=None)
@given(KINDS, st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=3))
def test_any_json_for_any_member(kind, members):
    check(kind, json.dumps({**MINIMAL[kind], **members}).encode())


@settings(deadline=None)
@given(
    KINDS,
    st.sampled_from(["messages", "tools", "stream_options", "prompt", "input"]),
    st.lists(st.dictionaries(st.sampled_from(INNER), JSON, max_size=4), max_size=3),
)
def test_any_json_inside(kind, name, items):
    check(kind, json.dumps({**MINIMAL[kind], name: items}).encode())


@settings(deadline=None)
@given(KINDS, st.integers(0, 60), st.binary(max_size=3), st.integers(0, 5))
def test_any_damage_to_a_good_body(kind, at, inserted, removed):
    raw = json.dumps(MINIMAL[kind]).encode()
    check(kind, raw[:at] + inserted + raw[at + removed :])
