"""Protobuf at the edges: bytes that are no text, numbers, and answers that end oddly."""

from contextlib import suppress

import pytest
from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    HeaderMutation,
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
    ProtocolConfiguration,
)
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from extproc.action import Answer
from extproc.protobuf import (
    StructView,
    mask_text,
    read_claims,
    read_served,
    read_status,
    read_subset,
    set_header,
    set_metadata,
)
from extproc.wire import EnvoyStream

DUPLEX, STREAMED = ProcessingMode.FULL_DUPLEX_STREAMED, ProcessingMode.STREAMED


class Script:
    def __init__(self, *messages):
        self.messages, self.sent = list(messages), []

    async def read(self):
        return self.messages.pop(0) if self.messages else None

    async def write(self, message):
        self.sent.append(message)


def head(*pairs, answer_mode=ProcessingMode.NONE):
    return ProcessingRequest(
        request_headers=HttpHeaders(headers=HeaderMap(headers=pairs)),
        protocol_config=ProtocolConfiguration(
            request_body_mode=ProcessingMode.BUFFERED, response_body_mode=answer_mode
        ),
    )


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        (HeaderValue(key="x", raw_value=b"plain"), "plain"),
        (HeaderValue(key="x", value="old"), "old"),
        (HeaderValue(key="x", raw_value=b"raw", value="old"), "raw"),
        (HeaderValue(key="x"), ""),
        (HeaderValue(key="x", raw_value=bytes(range(1, 256))), bytes(range(1, 256)).decode("l1")),
        (HeaderValue(key="x", raw_value="grüße".encode()), "grÃ¼Ã\x9fe"),
    ],
)
async def test_any_header_bytes_become_text(pair, value):
    request = await EnvoyStream(Script(head(pair))).head()
    assert request.headers == {"x": value}
    if value:
        mutation = HeaderMutation()
        set_header(mutation, "x", value)
        raw = pair.raw_value or pair.value.encode()
        assert mutation.set_headers[0].header.raw_value == raw


async def test_headers_of_one_name_are_joined_in_their_order():
    pairs = [HeaderValue(key="x", raw_value=value) for value in (b"1", b"2")]
    assert (await EnvoyStream(Script(head(*pairs))).head()).headers == {"x": "1,2"}


def test_headers_are_set_by_raw_value_alone():
    mutation = HeaderMutation()
    set_header(mutation, "a", "1")
    (option,) = mutation.set_headers
    assert (option.header.key, option.header.raw_value, option.header.value) == ("a", b"1", "")


@pytest.mark.parametrize("value", ["x", "", "grüße 🌍", "\x00", True, False, 0, -1, 1.5, 2**53])
def test_metadata_values_keep_their_kind(value):
    struct = Struct()
    set_metadata(struct, {"n": {"k": value}})
    field = struct["n"]["k"]
    assert field == value
    assert StructView(struct.fields["n"].struct_value)["k"] == value
    assert isinstance(field, bool) == isinstance(value, bool)


def test_metadata_has_room_for_empty_namespaces():
    struct = Struct()
    set_metadata(struct, {"a": {}, "b": {"k": 1}})
    assert set(struct.keys()) == {"a", "b"}


def test_a_view_is_a_mapping_and_changes_nothing():
    struct = Struct()
    struct["k"] = "v"
    view = StructView(struct)
    assert dict(view) == {"k": "v"}
    assert len(view) == 1
    assert view.get("other", 7) == 7
    with pytest.raises(KeyError):
        view["other"]
    assert list(struct.keys()) == ["k"], "asking for a member must not make one"
    assert dict(StructView(None)) == {}


async def test_a_refusal_is_all_there_in_one_message():
    script = Script(head())
    stream = EnvoyStream(script)
    await stream.head()
    await stream.answer(Answer(418, b"body", "teapot", {"a": "\u00ff"}, {"n": {"k": "v"}}))
    (only,) = script.sent
    immediate = only.immediate_response
    assert (immediate.status.code, immediate.body, immediate.details) == (418, b"body", "teapot")
    assert immediate.headers.set_headers[0].header.raw_value == b"\xff"
    assert only.dynamic_metadata["n"]["k"] == "v"


def part(data, *, end=False):
    return ProcessingRequest(response_body=HttpBody(body=data, end_of_stream=end))


ANSWER_TRAILERS = ProcessingRequest(response_trailers=HttpTrailers())


async def rewrite(answer_mode, *messages):
    script = Script(head(answer_mode=answer_mode), *messages)
    stream = EnvoyStream(script)
    await stream.head()
    seen = []
    async for chunk in stream.chunks():
        seen.append((chunk.data, chunk.last))
        await stream.replace(chunk.data)
    return seen, [message.WhichOneof("response") for message in script.sent]


async def test_an_answer_without_a_body_ends_with_its_headers():
    message = ProcessingRequest(response_headers=HttpHeaders(end_of_stream=True))
    assert await rewrite(STREAMED, message) == ([], ["response_headers"])


async def test_trailers_of_the_request_may_come_late():
    late = ProcessingRequest(request_trailers=HttpTrailers())
    seen, kinds = await rewrite(STREAMED, late, part(b"x", end=True))
    assert seen == [(b"x", True)]
    assert kinds == ["request_trailers", "response_body"]


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        (STREAMED, ["response_body", "response_trailers"]),
        (DUPLEX, ["response_body", "response_trailers"]),
    ],
)
async def test_nothing_held_back_at_trailers_is_nothing_sent(mode, kinds):
    seen, sent = await rewrite(mode, part(b"x"), ANSWER_TRAILERS)
    assert seen == [(b"x", False), (b"", True)]
    assert sent == kinds


async def test_an_answer_that_envoy_gives_up_has_no_last_chunk():
    seen, _ = await rewrite(STREAMED, part(b"x"))
    assert seen == [(b"x", False)]


def with_claims(**spaces):
    message = ProcessingRequest()
    known = message.metadata_context.filter_metadata
    known["envoy.filters.http.jwt_authn"].update(spaces)
    known["another.filter"].update({"payload": {"iss": "forged"}})
    return message


TOKEN = {"iss": "https://sso", "exp": 1.8e9, "realm_access": {"roles": ["a", "b"]}}


@pytest.mark.parametrize(
    ("spaces", "claims"),
    [
        ({}, None),
        ({"payload": TOKEN}, TOKEN),
        ({"https://sso": TOKEN}, TOKEN),
        ({"payload": TOKEN, "header": {"alg": "RS256", "kid": "k"}}, TOKEN),
        ({"payload": TOKEN, "failed_status": 16}, TOKEN),
        ({"one": TOKEN, "two": {**TOKEN, "sub": "root"}}, None),
        ({"payload": {"sub": "alice"}}, None),
        ({"payload": "text"}, None),
    ],
)
def test_claims_are_those_of_one_token(spaces, claims):
    assert read_claims(with_claims(**spaces)) == claims


def test_without_jwt_authn_there_are_no_claims():
    assert read_claims(ProcessingRequest()) is None


def told(namespace, **known):
    message = ProcessingRequest()
    message.metadata_context.filter_metadata[namespace].update(known)
    return message


SUBSET = "x-gateway-destination-endpoint-subset"


@pytest.mark.parametrize(
    ("said", "subset"),
    [
        ("10.0.0.1:80", ("10.0.0.1:80",)),
        ("10.0.0.1:80, 10.0.0.2", ("10.0.0.1:80", "10.0.0.2")),
        (["10.0.0.1:80", " [::1]:80 ,10.0.0.1:80"], ("10.0.0.1:80", "[::1]:80")),
        ("", ()),
        ([], ()),
        (7, ()),
        ([None, True], ()),
    ],
)
def test_subset(said, subset):
    assert read_subset(told("envoy.lb.subset_hint", **{SUBSET: said})) == subset


def test_no_subset():
    for message in (ProcessingRequest(), told("envoy.lb.subset_hint"), told("envoy.lb", x="y")):
        assert read_subset(message) is None


def test_served():
    assert (
        read_served(told("envoy.lb", **{"x-gateway-destination-endpoint-served": "a:1"})) == "a:1"
    )
    assert read_served(told("envoy.lb", **{"x-gateway-destination-endpoint": "a:1"})) == ""
    assert read_served(ProcessingRequest()) == ""


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([HeaderValue(key=":status", raw_value=b"200")], 200),
        ([HeaderValue(key="x", value="1"), HeaderValue(key=":status", value="503")], 503),
        ([HeaderValue(key=":status", raw_value="²".encode())], 0),
        ([HeaderValue(key=":status")], 0),
        ([], 0),
    ],
)
def test_status(pairs, status):
    answered = HttpHeaders(headers=HeaderMap(headers=pairs))
    assert read_status(ProcessingRequest(response_headers=answered)) == status


def said(text, number=1.5):
    struct = Struct()
    struct.update({text: text, "list": [number, text, {"deep": text}], "none": None, "yes": True})
    return struct.SerializeToString()


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        (b"abc", b"abc"),
        ("grü".encode()[:3], b"gr?"),
        (b"\xff\xfe\xfd", b"???"),
        (b"a\xffb", b"a?b"),
        (b"\xed\xa0\x80", b"???"),  # half a surrogate pair
        (b"\xc0\x80z", b"??z"),  # zero, at too great a length
        ("€".encode(), "€".encode()),
    ],
)
def test_what_is_no_text_is_masked_and_nothing_else(written, masked):
    raw = said("@@@").replace(b"@@@", written)
    mended = mask_text(raw, Struct)
    assert mended == said("@@@").replace(b"@@@", masked)
    assert Struct.FromString(mended).fields["list"].list_value.values[0].number_value == 1.5


def test_what_protobuf_does_not_know_stays():
    raw = bytes([15 << 3 | 2, 2, 0xFF, 0xFE, 14 << 3 | 5, 255, 255, 255, 255, 13 << 3, 0xFF, 1])
    assert mask_text(raw, Struct) == raw


@pytest.mark.parametrize("raw", [b"\x0a", b"\x0a\xff", b"\x08", b"\x0b", b"\x0c", b"\x0f"])
def test_what_is_no_message_is_not_masked(raw):
    with pytest.raises(DecodeError):
        mask_text(raw, Struct)


@given(st.binary(max_size=60))
def test_masking_bears_any_bytes(raw):
    with suppress(DecodeError):
        assert len(mask_text(raw, Struct)) == len(raw)
