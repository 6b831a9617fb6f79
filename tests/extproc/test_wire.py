"""Scripted conversations: what Envoy says, what we answer, for every mode it can be configured in."""

import itertools

import msgspec
import pytest
from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
    ProtocolConfiguration,
)
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from extproc.action import HandOver
from extproc.budget import MAX_BODY_BYTES, ByteBudget
from extproc.cache.fill import Fill
from extproc.dialects.sse import Splitter
from extproc.errors import AnswerFirstError, DownstreamGoneError, WireError
from extproc.filter import AnswerMode, BodyTransform, Filter
from extproc.pipeline import Pipeline
from extproc.request import Body, Model, Payload, Route, Subset
from extproc.stores.memory import MemoryMeter
from extproc.stream import rewrite, serve
from extproc.wire import PIECE_BYTES, EnvoyStream
from tests.extproc.chunking import chunked, recorded

NONE, STREAMED, BUFFERED = ProcessingMode.NONE, ProcessingMode.STREAMED, ProcessingMode.BUFFERED
PARTIAL, DUPLEX = ProcessingMode.BUFFERED_PARTIAL, ProcessingMode.FULL_DUPLEX_STREAMED
SENT = {"model": "tiny", "prompt": "hi"}
BODY = msgspec.json.encode(SENT)


class Decide(Filter):
    """Forwards all bodies with `rewritten` added; rewrites answers by `transform`, if given."""

    name = "decide"
    needs = frozenset({Body})

    def __init__(self, transform=None, mode=AnswerMode.NONE, pad=""):
        self.make, self.mode, self.pad = transform, mode, pad

    async def decide(self, request):
        raw = request.fact(Body).raw or b"{}"
        document = {**msgspec.json.decode(raw), "rewritten": True, "pad": self.pad}
        request = request.having(Model("tiny", "p", "tiny"))
        request = request.having(Payload(msgspec.json.encode(document)))
        return request.having(Route(("10.0.0.1:1", "10.0.0.2:1")))

    def wish(self, request):
        return self.mode

    def transform(self, request):
        return self.make() if self.make else None


class Shout(BodyTransform):
    """Upper case, holding back the last byte seen, so that `finish` matters."""

    def __init__(self):
        self.held = b""

    def feed(self, chunk):
        whole = self.held + chunk
        self.held = whole[-1:]
        return whole[:-1].upper()

    def finish(self):
        return self.held.upper() + b"!"


class Script:
    """Plays Envoy: hands out messages in order, then the end of the stream."""

    def __init__(self, *messages):
        self.messages, self.sent = list(messages), []

    async def read(self):
        return self.messages.pop(0) if self.messages else None

    async def write(self, message):
        self.sent.append(message)

    def kinds(self):
        return [message.WhichOneof("response") for message in self.sent]


def head(request_mode=BUFFERED, answer_mode=NONE, *, end=False, early=False, **extra):
    pairs = {":method": "POST", ":path": "/v1/completions?x=1", "x-request-id": "r1", **extra}
    headers = [HeaderValue(key=k.replace("_", "-"), raw_value=v.encode()) for k, v in pairs.items()]
    return ProcessingRequest(
        request_headers=HttpHeaders(headers=HeaderMap(headers=headers), end_of_stream=end),
        protocol_config=ProtocolConfiguration(
            request_body_mode=request_mode,
            response_body_mode=answer_mode,
            send_body_without_waiting_for_header_response=early,
        ),
    )


def body(data=BODY, *, end=True):
    return ProcessingRequest(request_body=HttpBody(body=data, end_of_stream=end))


def answer_head(*, end=False):
    return ProcessingRequest(response_headers=HttpHeaders(end_of_stream=end))


def part(data, *, end=False):
    return ProcessingRequest(response_body=HttpBody(body=data, end_of_stream=end))


TRAILERS = ProcessingRequest(request_trailers=HttpTrailers())
ANSWER_TRAILERS = ProcessingRequest(response_trailers=HttpTrailers())


async def play(*messages, decide=None, limit=10 * MAX_BODY_BYTES):
    script, meter = Script(*messages), MemoryMeter()
    pipeline = Pipeline([decide or Decide()], "v1", meter)
    budget = ByteBudget(limit)
    await serve(EnvoyStream(script), pipeline, budget, meter)
    assert budget.held == 0
    return script


def upstream(script):
    """What the engine would get, however it was carried."""
    data = b""
    for message in script.sent:
        change = message.request_body.response.body_mutation
        data += change.body + change.streamed_response.body
    return data


def downstream(script):
    data = b""
    for message in script.sent:
        change = message.response_body.response.body_mutation
        data += change.body + change.streamed_response.body
    return data


def headers_set(response):
    options = response.header_mutation.set_headers
    return {option.header.key: option.header.raw_value.decode() for option in options}


REWRITTEN = {**SENT, "rewritten": True, "pad": ""}


async def test_buffered_decides_in_the_body_reply_and_leaves():
    script = await play(head(), body(), answer_head())
    assert script.kinds() == ["request_headers", "request_body"]
    assert script.messages == [answer_head()], "we stayed to read the answer"
    first, second = script.sent
    assert not first.HasField("mode_override")
    metadata = second.dynamic_metadata
    assert metadata["envoy.lb"]["x-gateway-destination-endpoint"] == "10.0.0.1:1,10.0.0.2:1"
    assert first.dynamic_metadata["headgate"]["settle_key"] == metadata["headgate"]["settle_key"]
    change = second.request_body.response
    assert change.clear_route_cache
    assert headers_set(change)["content-length"] == str(len(upstream(script)))
    assert headers_set(change)["x-gateway-destination-endpoint"] == "10.0.0.1:1,10.0.0.2:1"
    assert headers_set(change)["x-headgate-pool"] == "p"
    assert set(change.header_mutation.remove_headers) >= {"authorization", "tracestate"}
    assert msgspec.json.decode(upstream(script)) == REWRITTEN


async def test_buffered_before_trailers_is_one_message_too():
    script = await play(head(), body(end=False), TRAILERS)
    assert script.kinds() == ["request_headers", "request_body"]


@pytest.mark.parametrize("mode", [NONE, STREAMED, PARTIAL])
async def test_other_modes_are_overridden_to_buffered(mode):
    script = await play(head(mode, STREAMED), body())
    override = script.sent[0].mode_override
    assert override.request_body_mode == BUFFERED
    assert override.response_body_mode == STREAMED, "an override must restate what it keeps"
    assert msgspec.json.decode(upstream(script)) == REWRITTEN


async def test_an_override_that_is_not_heeded_is_a_fault():
    with pytest.raises(WireError, match="response_headers came where request_body"):
        await play(head(NONE), answer_head())


@pytest.mark.parametrize("mode", [NONE, STREAMED, PARTIAL])
async def test_a_stream_that_ends_where_an_overridden_body_was_due_is_a_fault(mode):
    """Envoy ends it without a word where `allow_mode_override` is off."""
    with pytest.raises(WireError, match="allow_mode_override") as caught:
        await play(head(mode))
    assert caught.value.kind == "override"


async def test_a_wish_for_the_answer_alone_makes_no_fault_of_a_client_that_left():
    with pytest.raises(DownstreamGoneError):
        await play(head(), decide=Decide(Shout, AnswerMode.STREAMED))


async def test_bodyless_is_decided_by_the_headers_reply():
    script = await play(head(end=True))
    (only,) = script.sent
    assert only.WhichOneof("response") == "request_headers"
    assert headers_set(only.request_headers.response)["x-headgate-pool"] == "p"
    assert "content-length" not in headers_set(only.request_headers.response)
    assert set(only.dynamic_metadata.keys()) == {"headgate", "envoy.lb"}


@pytest.mark.parametrize("answer_mode", [NONE, STREAMED, DUPLEX])
async def test_duplex_holds_the_headers_back_until_the_body_is_read(answer_mode):
    script = await play(
        head(DUPLEX, answer_mode), body(BODY[:5], end=False), body(BODY[5:], end=False), body(b"")
    )
    assert script.kinds() == ["request_headers", "request_body"]
    assert msgspec.json.decode(upstream(script)) == REWRITTEN
    last = script.sent[-1].request_body.response.body_mutation.streamed_response
    assert last.end_of_stream


async def test_duplex_cuts_long_bodies_into_pieces():
    script = await play(head(DUPLEX, DUPLEX), body(), decide=Decide(pad="x" * 3 * PIECE_BYTES))
    pieces = [m.request_body.response.body_mutation.streamed_response for m in script.sent[1:]]
    assert len(pieces) == 4
    assert max(len(piece.body) for piece in pieces) == PIECE_BYTES
    assert [piece.end_of_stream for piece in pieces] == [False, False, False, True]


async def test_duplex_with_trailers_ends_with_them():
    script = await play(head(DUPLEX), body(end=False), TRAILERS)
    assert script.kinds() == ["request_headers", "request_body", "request_trailers"]
    piece = script.sent[1].request_body.response.body_mutation.streamed_response
    assert not piece.end_of_stream


async def test_duplex_passes_answers_and_never_leaves_early():
    script = await play(
        head(DUPLEX, DUPLEX), body(), answer_head(), part(b"ab"), part(b""), part(b"c", end=True)
    )
    assert not script.messages
    assert script.kinds()[2:] == ["response_headers", "response_body", "response_body"]
    assert downstream(script) == b"abc"


async def test_duplex_refusal_waits_for_envoy_to_close():
    script = await play(head(DUPLEX, DUPLEX), body(b"}"), part(b"late"), decide=Refuse())
    assert script.kinds() == ["immediate_response"]
    assert not script.messages


async def test_streamed_ahead_of_the_reply_answers_every_chunk():
    script = await play(
        head(STREAMED, early=True), body(BODY[:5], end=False), body(BODY[5:], end=False), body(b"")
    )
    assert script.kinds() == ["request_headers", *["request_body"] * 3]
    assert msgspec.json.decode(upstream(script)) == REWRITTEN
    assert script.sent[2].request_body.response.body_mutation.clear_body


class Refuse(Filter):
    name = "refuse"
    needs = frozenset({Body})

    async def decide(self, request):
        raise ZeroDivisionError


async def test_a_fault_is_an_answer():
    script = await play(head(), body(), decide=Refuse())
    immediate = script.sent[1].immediate_response
    assert immediate.status.code == 500
    assert msgspec.json.decode(immediate.body)["error"]["code"] == "internal_error"
    assert script.sent[1].dynamic_metadata["headgate"]["deny"] == "internal_error"


async def test_too_many_bytes_in_flight():
    script = await play(head(), body(), limit=3)
    immediate = script.sent[1].immediate_response
    assert immediate.status.code == 503
    assert {"retry-after", "content-type"} == {h.header.key for h in immediate.headers.set_headers}


async def test_too_large_a_body_is_refused_where_envoy_does_not_bound_it():
    big = b" " * (MAX_BODY_BYTES // 2 + 1)
    script = await play(head(DUPLEX), body(big, end=False), body(big))
    assert script.sent[0].immediate_response.status.code == 413


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ((), DownstreamGoneError),
        ((head(),), DownstreamGoneError),
        ((body(),), WireError),
        ((head(), head()), WireError),
        ((head(DUPLEX), body(end=False)), DownstreamGoneError),
        ((head(DUPLEX), body(), part(b"x"), head()), WireError),
    ],
)
async def test_disorder_is_a_fault_and_never_a_wait(messages, error):
    with pytest.raises(error):
        await play(*messages)


async def test_trailers_without_a_body_are_an_empty_body():
    script = await play(head(), TRAILERS, body(), decide=Refuse())
    assert script.kinds() == ["request_headers", "immediate_response"]


async def test_observability_mode_is_refused():
    message = head()
    message.observability_mode = True
    with pytest.raises(WireError, match="observability_mode"):
        await play(message)


@pytest.mark.parametrize(
    ("wish", "mode"), [(AnswerMode.STREAMED, STREAMED), (AnswerMode.DUPLEX, DUPLEX)]
)
async def test_a_wish_for_the_answer_is_made_in_the_headers_reply(wish, mode):
    decide = Decide(Shout, wish)
    script = await play(
        head(), body(), answer_head(), part(b"he"), part(b"y", end=True), decide=decide
    )
    override = script.sent[0].mode_override
    assert override.request_body_mode == BUFFERED
    assert override.response_body_mode == mode
    assert override.response_header_mode == ProcessingMode.SEND
    assert override.response_trailer_mode == (ProcessingMode.SEND if mode == DUPLEX else 0)
    assert downstream(script) == b"HEY!"


async def test_a_wish_that_turns_out_unneeded_is_left():
    script = await play(head(), body(), answer_head(), decide=Decide(None, AnswerMode.STREAMED))
    assert script.messages == [answer_head()]


async def play_stream(play_out, *messages):
    """Let `play_out` use a stream whose head is read."""
    script = Script(*messages)
    stream = EnvoyStream(script)
    await stream.head()
    with ByteBudget(10 * MAX_BODY_BYTES).hold() as held:
        await play_out(stream, held)
    return script


HANDED = HandOver(
    {"headgate": {"tenant": "acme"}}, {"x-headgate-pool": "ledger"}, ("authorization",)
)


@pytest.mark.parametrize("end", [True, False])
async def test_handing_over_is_one_reply_to_the_headers(end):
    script = await play_stream(lambda s, held: s.hand_over(HANDED, held), head(end=end), body())
    (reply,) = script.sent
    change = reply.request_headers.response
    assert change.header_mutation.set_headers[0].header.raw_value == b"ledger"
    assert list(change.header_mutation.remove_headers) == ["authorization"]
    assert change.clear_route_cache
    assert reply.dynamic_metadata["headgate"]["tenant"] == "acme"
    assert len(script.messages) == 1, "the body is not ours"


async def test_handing_over_in_full_duplex_passes_the_body_on():
    script = await play_stream(lambda s, held: s.hand_over(HANDED, held), head(DUPLEX), body())
    assert upstream(script) == BODY


async def test_a_wait_is_asked_for_by_a_message_of_its_own():
    script = await play_stream(lambda s, _: s.stretch(2.5), head())
    (reply,) = script.sent
    assert reply.override_message_timeout.ToMilliseconds() == 2500
    assert reply.WhichOneof("response") is None


class Enough(Shout):
    """Ends the answer at the first `!`."""

    def feed(self, chunk):
        self.over = self.over or b"!" in chunk
        return super().feed(chunk)


def said(message):
    return MessageToDict(message.dynamic_metadata).get("headgate", {})


@pytest.mark.parametrize("wish", [AnswerMode.STREAMED, AnswerMode.DUPLEX])
async def test_an_answer_that_is_ended_early(wish):
    rest = [part(b"more"), part(b"", end=True)]
    script = await play(
        head(), body(), answer_head(), part(b"he"), part(b"y!"), *rest, decide=Decide(Enough, wish)
    )
    assert downstream(script) == b"HEY!!"
    assert script.messages == [], "never the first to leave"
    pieces = [m.response_body.response.body_mutation.streamed_response for m in script.sent]
    assert [p.end_of_stream for p in pieces].count(True) == (wish is AnswerMode.DUPLEX)
    told = [m for m in script.sent if said(m).get("stopped")]
    assert told == ([script.sent[-1]] if wish is AnswerMode.DUPLEX else [])


async def test_held_bytes_at_trailers():
    wish = Decide(Shout, AnswerMode.STREAMED)
    with pytest.raises(WireError, match="trailers came"):
        await play(head(), body(), answer_head(), part(b"hey"), ANSWER_TRAILERS, decide=wish)
    duplex = Decide(Shout, AnswerMode.DUPLEX)
    script = await play(head(), body(), answer_head(), part(b"hey"), ANSWER_TRAILERS, decide=duplex)
    assert downstream(script) == b"HEY!"
    assert script.kinds()[-1] == "response_trailers"


async def test_buffered_answer_with_trailers_finishes_once():
    script = await play(
        head(BUFFERED, BUFFERED), body(), answer_head(), part(b"hey"), ANSWER_TRAILERS,
        decide=Decide(Shout),
    )  # fmt: skip
    assert downstream(script) == b"HEY!"
    assert script.kinds()[-1] == "response_trailers"


@given(
    data=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    mode=st.sampled_from([STREAMED, DUPLEX]),
    trailers=st.booleans(),
)
async def test_any_chunking_gives_the_same_answer(data, cuts, mode, trailers):
    if trailers and mode == STREAMED:
        return  # held bytes cannot be delivered there: the test above
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)] or [b""]
    parts = [part(piece, end=False) for piece in pieces]
    parts.append(ANSWER_TRAILERS if trailers else part(b"", end=True))
    wish = AnswerMode.STREAMED if mode == STREAMED else AnswerMode.DUPLEX
    script = await play(head(), body(), answer_head(), *parts, decide=Decide(Shout, wish))
    assert downstream(script) == data.upper() + b"!"


class Note(BodyTransform):
    """Lets every event pass and keeps what it said."""

    def __init__(self):
        self.splitter, self.events = Splitter(), []

    def feed(self, chunk):
        return self.note(self.splitter.feed(chunk))

    def finish(self):
        return self.note(self.splitter.finish())

    def note(self, events):
        self.events += [event.data for event in events]
        return b"".join(event.raw for event in events)

    def usage(self):
        said = [msgspec.json.decode(data) for data in self.events if data.startswith(b"{")]
        return [event["usage"] for event in said if event.get("usage")][-1:]


@given(answer=st.sampled_from(recorded("text/event-stream")), data=st.data())
async def test_recorded_streams_are_the_same_however_cut(answer, data):
    whole, cut = Note(), Note()
    for note, chunks in ((whole, [answer]), (cut, data.draw(chunked(answer)))):
        parts = [part(chunk) for chunk in chunks]
        decide = Decide(lambda n=note: n, AnswerMode.STREAMED)
        script = await play(
            head(), body(), answer_head(), *parts, part(b"", end=True), decide=decide
        )
        assert downstream(script) == answer
    assert cut.events == whole.events
    assert cut.usage() == whole.usage()


def duplex(message):
    message.protocol_config.request_body_mode = DUPLEX
    message.protocol_config.response_body_mode = DUPLEX
    return message


async def test_a_subset_becomes_a_fact():
    message = head()
    known = message.metadata_context.filter_metadata["envoy.lb.subset_hint"]
    known["x-gateway-destination-endpoint-subset"] = "10.0.0.1"
    request = await EnvoyStream(Script(message)).head()
    assert request.fact(Subset).endpoints == ("10.0.0.1",)
    assert (await EnvoyStream(Script(head())).head()).find(Subset) is None


async def test_a_stream_that_begins_with_an_answer_can_be_passed_through():
    script = Script(duplex(answer_head()), part(b"refused"), part(b"", end=True))
    stream = EnvoyStream(script)
    with pytest.raises(AnswerFirstError):
        await stream.head()
    async for chunk in stream.chunks():
        await stream.replace(chunk.data)
    assert script.kinds() == ["response_headers", "response_body", "response_body"]
    assert downstream(script) == b"refused"
    assert script.sent[-1].response_body.response.body_mutation.streamed_response.end_of_stream


async def test_the_end_of_a_body_may_come_twice():
    """envoyproxy/envoy issue 46237."""
    messages = (body(), body(BODY[-3:]), answer_head(), part(b"x", end=True))
    script = await play(duplex(head()), *messages)
    assert msgspec.json.decode(upstream(script)) == REWRITTEN
    assert downstream(script) == b"x"


async def test_status_and_who_served_are_noted():
    answered = answer_head(end=True)
    answered.response_headers.headers.headers.add(key=":status", raw_value=b"201")
    known = answered.metadata_context.filter_metadata["envoy.lb"]
    known["x-gateway-destination-endpoint-served"] = "10.0.0.2:1"
    stream = EnvoyStream(Script(duplex(head()), body(), answered))
    await serve(
        stream, Pipeline([Decide()], "v1", MemoryMeter()), ByteBudget(1 << 20), MemoryMeter()
    )
    assert (stream.status, stream.served) == (201, "10.0.0.2:1")


@pytest.mark.parametrize("mode", [NONE, STREAMED, DUPLEX])
async def test_only_in_duplex_bytes_may_go_out_at_any_time(mode):
    script = Script(head(DUPLEX, mode))
    stream = EnvoyStream(script)
    await stream.head()
    assert stream.may_push == (mode == DUPLEX)
    if stream.may_push:
        await stream.replace(b"held")
        await stream.replace(b"")
        [sent] = script.sent
        piece = sent.response_body.response.body_mutation.streamed_response
        assert (piece.body, piece.end_of_stream) == (b"held", False)


def encoded(*encodings):
    message = answer_head()
    for each in encodings:
        message.response_headers.headers.headers.add(
            key="content-encoding", raw_value=each.encode()
        )
    return message


@pytest.mark.parametrize("encodings", [("gzip",), ("identity, BR",), ("identity", "zstd")])
@pytest.mark.parametrize("mode", [STREAMED, DUPLEX])
async def test_an_encoded_answer_that_is_to_be_read_does_not_pass(mode, encodings):
    script = Script(head(answer_mode=mode), encoded(*encodings), part(b"x", end=True))
    stream = EnvoyStream(script)
    await stream.head()
    with pytest.raises(WireError, match=f"came as {encodings[-1].split()[-1].lower()}") as caught:
        await rewrite(stream, [Shout()])
    assert caught.value.kind == "encoded"
    assert script.sent == []


@pytest.mark.parametrize("encodings", [(), ("",), ("Identity",)])
async def test_an_answer_as_it_is_passes(encodings):
    script = Script(head(answer_mode=STREAMED), encoded(*encodings), part(b"x", end=True))
    stream = EnvoyStream(script)
    await stream.head()
    await rewrite(stream, [Shout()])
    assert downstream(script) == b"X!"


async def test_what_nobody_reads_may_be_encoded():
    script = Script(head(answer_mode=STREAMED), encoded("gzip"), part(b"x", end=True))
    stream = EnvoyStream(script)
    await stream.head()
    kept = []
    await rewrite(stream, [Fill(10, kept.append)])
    assert downstream(script) == b"x"
    assert kept == [b"x"]
