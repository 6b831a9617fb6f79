"""Personal data in answers that the caller did not send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects import deltas
from extproc.dialects.deltas import Channel
from extproc.dialects.ending import ending, sse
from extproc.dialects.sse import BOM, Splitter
from extproc.request import Kind
from extproc.safety.expressions import FloodError
from extproc.safety.outbound import Look, Outbound, OutboundRule
from extproc.safety.pii.begun import Openings
from extproc.safety.pii.engine import shipped
from extproc.safety.window import Window
from tests.extproc.chunking import chunked, recorded
from tests.extproc.safety.moderation.answers import play as play_waiting

EMAIL, CARD = "bob@example.org", "4111 1111 1111 1111"
RULES = [OutboundRule(frozenset({"email"}), "mask"), OutboundRule(frozenset({"all"}), "cut")]
TEXT = f"Please write to {EMAIL} today. " + "and so on " * 20
CUT = f"The number is {CARD}, valid for long. " + "and so on " * 20


def outbound(kind, rules=RULES, sent=(), told=None, *, stream=True):
    told = [] if told is None else told
    look = Look(
        shipped(),
        None,
        rules,
        lambda _, value: value in sent,
        lambda *what: told.append(what),
    )
    return Outbound(kind, look, ending(kind, 3) if stream else None)


def play(transform, chunks):
    out = b""
    for chunk in chunks:
        out += transform.feed(chunk)
        if transform.over:
            break
    return out + transform.finish()


def pieces(text, size=4):
    return [text[i : i + size] for i in range(0, len(text), size)]


def chat(text, name="content"):
    like = {"id": "c", "model": "m"}
    out = [deltas.write(Kind.CHAT, Channel(0, name), like, piece) for piece in pieces(text)]
    end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return b"".join([*out, b"data: " + json.dumps(end).encode() + b"\n\n", b"data: [DONE]\n\n"])


def event(document):
    return f"event: {document['type']}\ndata: {json.dumps(document)}\n\n".encode()


def messages(text):
    out = [event({"type": "message_start", "message": {"usage": {"input_tokens": 3}}})]
    out.append(
        event({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}})
    )
    out += [deltas.write(Kind.MESSAGES, Channel(0, "text"), {}, piece) for piece in pieces(text)]
    out.append(event({"type": "content_block_stop", "index": 0}))
    out.append(event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}))
    return b"".join([*out, event({"type": "message_stop"})])


def responses(text):
    like = {"type": "response.output_text.delta", "output_index": 0, "sequence_number": 0}
    item = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    out = [event({"type": "response.created", "response": {"id": "r"}})]
    out.append(event({"type": "response.output_item.added", "output_index": 0, "item": {}}))
    out += [event({**like, "delta": piece}) for piece in pieces(text)]
    out.append(event({"type": "response.output_text.done", "output_index": 0, "text": text}))
    out.append(event({"type": "response.output_item.done", "output_index": 0, "item": item}))
    return b"".join([*out, event({"type": "response.completed", "response": {"output": [item]}})])


STREAMS = {Kind.CHAT: chat, Kind.MESSAGES: messages, Kind.RESPONSES: responses}


def events(stream):
    found = [each.data for each in Splitter().feed(stream)]
    return [json.loads(data) for data in found if data.startswith(b"{")]


def texts(kind, stream):
    found = {}
    for each in events(stream):
        for piece in deltas.read(kind, each).pieces:
            found[piece.channel] = found.get(piece.channel, "") + piece.text
    return found


def heard(kind, stream):
    return "".join(texts(kind, stream).values())


@pytest.mark.parametrize("kind", STREAMS)
@given(st.data())
def test_a_stream_is_masked_however_it_is_cut(kind, data):
    stream = STREAMS[kind](TEXT)
    shown = play(outbound(kind, told=(told := [])), data.draw(chunked(stream)))
    assert EMAIL.encode() not in shown
    assert heard(kind, shown) == TEXT.replace(EMAIL, "[EMAIL]")
    assert shown == play(outbound(kind), [stream])
    assert set(told) == {("email", "mask")}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_ends_politely_before_the_value(kind):
    transform = outbound(kind, told=(told := []))
    shown = play(transform, [STREAMS[kind](CUT)])
    assert transform.over
    assert heard(kind, shown) == CUT[: CUT.index(CARD)]
    assert told == [("bank_card", "cut")]
    last = events(shown)
    if kind is Kind.CHAT:
        reasons = [c.get("finish_reason") for each in last for c in each["choices"]]
        assert [reason for reason in reasons if reason] == ["content_filter"]
        assert shown.endswith(b"data: [DONE]\n\n")
    elif kind is Kind.MESSAGES:
        assert last[-2]["delta"]["stop_reason"] == "refusal"
        assert [each["type"] for each in last[-3:]] == [
            "content_block_stop", "message_delta", "message_stop",
        ]  # fmt: skip
    else:
        assert last[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_value_at_the_very_end_is_cut(kind):
    shown = play(outbound(kind), [STREAMS[kind](f"It is {CARD}")])
    assert CARD[:9].encode() not in shown
    assert heard(kind, shown) == "It is "
    if kind is Kind.CHAT:
        reasons = [c.get("finish_reason") for each in events(shown) for c in each["choices"]]
        assert [reason for reason in reasons if reason] == ["content_filter"]


@pytest.mark.parametrize("kind", STREAMS)
def test_what_the_caller_sent_may_be_said(kind):
    transform = outbound(kind, sent=(EMAIL, CARD), told=(told := []))
    assert heard(kind, play(transform, [STREAMS[kind](TEXT + CUT)])) == TEXT + CUT
    assert not told


def test_tagged_values_are_counted_and_stay():
    transform = outbound(Kind.CHAT, [OutboundRule(frozenset({"all"}), "tag")], told=(told := []))
    assert heard(Kind.CHAT, play(transform, [chat(TEXT)])) == TEXT
    assert told == [("email", "tag")]


def test_types_that_no_rule_names_and_placeholders_stay():
    text = "Call 13800138000 or <EMAIL_KXWQPTZB>. " * 4
    rules = [OutboundRule(frozenset({"iban"}), "mask"), OutboundRule(frozenset({"email"}), "cut")]
    assert heard(Kind.CHAT, play(outbound(Kind.CHAT, rules), [chat(text)])) == text
    everything = [OutboundRule(frozenset({"all"}), "mask")]
    shown = heard(Kind.CHAT, play(outbound(Kind.CHAT, everything), [chat(text)]))
    assert shown == text.replace("13800138000", "[PHONE]")


def test_arguments_of_calls():
    arguments = json.dumps({"to": EMAIL, "text": f"line\n{EMAIL}"})
    shown = play(outbound(Kind.CHAT), [chat(arguments, "arguments")])
    assert json.loads(heard(Kind.CHAT, shown)) == {"to": "[EMAIL]", "text": "line\n[EMAIL]"}
    cut_off = play(outbound(Kind.CHAT), [chat(arguments[:40], "arguments")])
    assert EMAIL not in heard(Kind.CHAT, cut_off)


@pytest.mark.parametrize("ascii_only", [True, False])
@given(st.data())
def test_answers_in_json(ascii_only, data):
    call = {"function": {"name": "send", "arguments": json.dumps({"to": EMAIL})}}
    message = {"content": f"张伟\n{EMAIL}, {CARD} ...", "tool_calls": [call]}
    answer = {"id": "x", "choices": [{"message": message, "finish_reason": "stop"}]}
    raw = json.dumps(answer, ensure_ascii=ascii_only).encode()
    shown = play(outbound(Kind.CHAT, stream=False), data.draw(chunked(raw)))
    choice = json.loads(shown)["choices"][0]
    assert choice["message"]["content"] == "张伟\n[EMAIL], "
    arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"to": "[EMAIL]"}
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("whole", recorded("text/event-stream") + recorded("application/json"))
def test_recorded_answers_say_the_same(whole):
    rules = [OutboundRule(frozenset({"email", "bank_card"}), "cut")]
    for kind in STREAMS:
        shown = play(outbound(kind, rules), [whole])
        if whole.lstrip().startswith(b"{"):
            assert shown == whole
        else:
            assert texts(kind, shown) == texts(kind, whole)


@pytest.mark.parametrize("how", ["completed", "incomplete", "failed"])
def test_a_response_is_masked_where_its_last_event_repeats_it(how):
    message = {"type": "message", "content": [{"type": "output_text", "text": TEXT}]}
    raw = event({"type": f"response.{how}", "response": {"output": [message]}})
    out = play(outbound(Kind.RESPONSES, stream=False), [raw])
    assert EMAIL not in out.decode()
    assert "[EMAIL]" in out.decode()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_byte_order_mark_hides_no_answer(stream, size):
    raw = BOM + json.dumps({"choices": [{"message": {"content": f"to {EMAIL}"}}]}).encode()
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    out = play(outbound(Kind.CHAT, stream=stream), chunks)
    assert json.loads(out) == {"choices": [{"message": {"content": "to [EMAIL]"}}]}


def test_a_refused_stream_is_json():
    error = json.dumps({"error": {"message": f"no such user {EMAIL}"}}).encode()
    shown = play(outbound(Kind.CHAT), [error])
    assert json.loads(shown) == {"error": {"message": "no such user [EMAIL]"}}


@pytest.mark.parametrize(("openings", "most"), [(Openings({"email"}), 16), (None, 96)])
def test_first_words_go_out_as_soon_as_they_are_no_value(openings, most):
    text = "There is nothing of the kind in these words. " * 4
    look = Look(shipped(), None, RULES, lambda *_: False, lambda *_: None, openings)
    transform, out, seen = Outbound(Kind.CHAT, look), "", 0
    for piece in pieces(text):
        seen += len(piece)
        event = deltas.write(Kind.CHAT, Channel(0, "content"), {}, piece)
        document = json.loads(transform.feed(event).removeprefix(b"data: "))
        out += document["choices"][0]["delta"]["content"]
        if out:
            break
    assert seen <= most
    assert text.startswith(out)


LONG_VALUES = {
    "address": "1234 North West Long Winding Mountain Road Apt 4, Springfield Upon The Hill, IL 62704",
    "api_key": f"eyJ{'abcdEFGH' * 4}.eyJ{'ijklMNOP' * 7}.{'qrstUVWX' * 5}yz0",
    "private_key": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB-\n-----END EC PRIVATE KEY-----",
}


@pytest.mark.parametrize("kind", LONG_VALUES)
@pytest.mark.parametrize("before", range(0, 64, 7))
def test_of_a_value_longer_than_the_hold_as_much_is_masked_as_if_all_were_held(kind, before):
    text = f"{'and so on ' * 7}"[:before] + f"\n{LONG_VALUES[kind]} and so on"
    rules = [OutboundRule(frozenset({kind}), "mask")]
    looks = [
        Look(shipped(), None, rules, lambda *_: False, lambda *_: None, openings)
        for openings in (Openings({kind}), None)
    ]
    shown, held = (Window(look).read(text) for look in looks)
    assert shown == held
    assert shown.endswith(f"[{kind.upper()}] and so on")


def test_half_a_character_hides_nothing():
    """Engines cut texts by tokens, and some write half of a pair as an escape."""
    said = {"id": "c", "choices": [{"index": 0, "delta": {"content": f"\ud83d to {EMAIL} now. "}}]}
    out = play(outbound(Kind.CHAT), [b"data: " + json.dumps(said).encode() + b"\n\n", chat("Bye.")])
    assert EMAIL.encode() not in out
    assert b"\\ud83d to" in out


def whole(text):
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


LONG = f"Write to {EMAIL} or call. " * 5_000


@pytest.mark.parametrize("size", [16_384, 10_000_000])
@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (whole(LONG), whole(LONG.replace(EMAIL, "[EMAIL]"))),
        (sse({"type": "response.completed", "response": {"tools": [LONG]}}, "x"), None),
    ],
)
async def test_what_is_long_is_looked_through_in_a_thread(raw, shown, size):
    told = []
    kind = Kind.CHAT if shown else Kind.RESPONSES
    transform = outbound(kind, RULES[:1], told=told, stream=not shown)
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    out = await play_waiting(transform, chunks)
    assert out == (shown or raw.replace(EMAIL.encode(), b"[EMAIL]"))
    assert told == [("email", "mask")] * 5_000


def test_what_is_short_is_not():
    transform = outbound(Kind.CHAT, RULES[:1])
    for _ in range(3_000):
        transform.feed(deltas.write(Kind.CHAT, Channel(0, "content"), {}, "and so on "))
        assert not transform.waits


async def test_an_answer_that_is_nothing_but_values_is_cut():
    with pytest.raises(FloodError):
        await play_waiting(outbound(Kind.CHAT, stream=False), [whole("1 2 3 4 5 6 7." * 100_000)])
