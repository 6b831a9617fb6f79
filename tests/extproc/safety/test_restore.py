"""Placeholders in answers of any form, cut anywhere, and the caller's own values in their places."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects import deltas
from extproc.dialects.deltas import Channel
from extproc.dialects.sse import Splitter
from extproc.request import Kind
from extproc.safety.restore import Restore, restoring
from tests.extproc.chunking import chunked, recorded

VALUES = {
    "<EMAIL_KXWQPTZB>": "ann@example.com",
    "<PHONE_BCDFGHJK>": "+86 138 0013 8000",
    "<CN_ID_ZZZZZZZZ>": "张伟\n<EMAIL_KXWQPTZB>",
    "<PRIVATE_KEY_TTTTTTTT>": '-----"BEGIN"\\n\n\t\u2028\ud800-----',
}
OTHERS = (
    "<EMAIL_BBBBBBBB>",
    "<EMAIL_KXWQPTZBB>",
    "<EMAIL_KXWQPTZ>",
    "<EMAIL_KXWQPTZE>",
    "<IBAN_KXWQPTZB>",
)
PIECES = st.sampled_from(
    [
        *VALUES,
        *OTHERS,
        "<email_kxwqptzb>",
        "&lt;EMAIL_KXWQPTZB&gt;",
        "< PHONE_BCDFGHJK >",
        "**<EMAIL\\_KXWQPTZB>**",
        "EMAIL_KXWQPTZB",
        "\\u003cEMAIL_KXWQPTZB\\u003e",
        "\\\\u003cCN_ID_ZZZZZZZZ\\\\u003e",
        "\\u00CAN_ID_ZZZZZZZZ",
        "<", "<EMA", "EMAIL_", "&l", "\\", "\\\\", "\\u0", " ", "\n", '"', "P", ">", "_", "é张😀", "word ",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join)


def restored(text, depth=0, values=VALUES):
    passage = Restore(values, lambda: None).begin(depth)
    return passage.feed(text) + passage.finish()


@pytest.mark.parametrize(
    ("text", "shown"),
    {
        "write <EMAIL_KXWQPTZB>.": "write ann@example.com.",
        "<email_kxwqptzb>": "ann@example.com",
        "<Email_Kxwqptzb>": "ann@example.com",
        "< EMAIL_KXWQPTZB >": "ann@example.com",
        "**<EMAIL_KXWQPTZB>**": "**ann@example.com**",
        "`<EMAIL_KXWQPTZB>`": "`ann@example.com`",
        "<EMAIL\\_KXWQPTZB>": "ann@example.com",
        "\\<EMAIL\\_KXWQPTZB\\>": "ann@example.com",
        "&lt;EMAIL_KXWQPTZB&gt;": "ann@example.com",
        "EMAIL_KXWQPTZB": "ann@example.com",
        "[EMAIL_KXWQPTZB](mailto:EMAIL_KXWQPTZB)": "[ann@example.com](mailto:ann@example.com)",
        "<a>EMAIL_KXWQPTZB</a>": "<a>ann@example.com</a>",
        "<EMAIL_KXWQPTZB and": "<ann@example.com and",
        "EMAIL_KXWQPTZB>": "ann@example.com>",
        "用<EMAIL_KXWQPTZB>联系": "用ann@example.com联系",
        "<<EMAIL_KXWQPTZB>>": "<ann@example.com>",
        "<EMAIL_KXWQPTZB><PHONE_BCDFGHJK>": "ann@example.com+86 138 0013 8000",
        "<CN_ID_ZZZZZZZZ>": "张伟\n<EMAIL_KXWQPTZB>",  # and no further
    }.items(),
)
def test_variants_are_restored(text, shown):
    assert restored(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        *OTHERS,
        "email_kxwqptzb",
        "<EMAILKXWQPTZB>",
        "<EMAIL KXWQPTZB>",
        "<EMAIL_KXWQ PTZB>",
        "<PHONE_KXWQPTZB>",
        "EMAIL_KXWQPTZB_2",
        "KXWQPTZB",
    ],
)
def test_look_alikes_stay(text):
    assert restored(text) == text
    assert restored(text, 1) == text


@pytest.mark.parametrize("depth", [0, 1, 2])
@given(st.data())
def test_text_in_any_pieces(depth, data):
    text = data.draw(TEXTS)
    passage = Restore(VALUES, lambda: None).begin(depth)
    pieces = data.draw(chunked(text))
    shown = [passage.feed(piece) for piece in pieces]
    held = len(text) - sum(map(len, pieces)) + len(passage._held)
    assert "".join(shown) + passage.finish() == restored(text, depth)
    assert held <= passage._forms.longest
    assert passage.idle


@given(TEXTS)
def test_values_are_fit_for_json(text):
    """What is restored in a literal reads as what is restored in its text."""
    plain = {placeholder: f'{value}"\\' for placeholder, value in VALUES.items()}
    literal = json.dumps(text.replace("\\", ""), ensure_ascii=False)
    twice = json.dumps(literal, ensure_ascii=False)
    shown = restored(text.replace("\\", ""), 0, plain)
    assert json.loads(restored(literal, 1, plain)) == shown
    assert json.loads(json.loads(restored(twice, 2, plain))) == shown


@given(st.lists(st.sampled_from(OTHERS + tuple("<> _\\")), max_size=9).map("".join))
def test_strange_placeholders_never_resolve(text):
    found = restored(text)
    assert not any(value in found for value in VALUES.values())


# Streams.


def chat_event(channel, text):
    return deltas.write(Kind.CHAT, channel, {"id": "c", "model": "m", "usage": None}, text)


def chat(pieces):
    out = [chat_event(*piece) for piece in pieces]
    for choice in sorted({channel.choice for channel, _ in pieces}):
        last = {"id": "c", "choices": [{"index": choice, "delta": {}, "finish_reason": "stop"}]}
        out.append(b"data: " + json.dumps(last).encode() + b"\n\n")
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3}}\n\n'
    return b"".join([b": ping\n\n", *out, usage, b"data: [DONE]\n\n"])


def completions(pieces):
    return chat([(Channel(channel.choice, "text"), text) for channel, text in pieces])


def named(document, **more):
    name = document["type"]
    return f"event: {name}\ndata: ".encode() + json.dumps({**document, **more}).encode() + b"\n\n"


def messages(pieces):
    out, opened = [named({"type": "message_start", "message": {"id": "m"}})], []
    for channel, text in pieces:
        name = ("text", "thinking", "partial_json")[channel.choice % 3]
        if channel.choice not in opened:
            opened.append(channel.choice)
            out.append(
                named({"type": "content_block_start", "index": channel.choice, "content_block": {}})
            )
        out.append(deltas.write(Kind.MESSAGES, Channel(channel.choice, name), {}, text))
    out += [named({"type": "content_block_stop", "index": index}) for index in opened]
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    return b"".join([*out, named(end), named({"type": "message_stop"})])


RESPONSES = ("response.output_text", "response.function_call_arguments", "response.reasoning_text")


def responses(pieces):
    out, whole, number = [], {}, 0
    for channel, text in pieces:
        name = RESPONSES[channel.choice % 3]
        like = {"type": f"{name}.delta", "output_index": channel.choice, "sequence_number": number}
        out.append(named(like, delta=text))
        whole[channel.choice] = whole.get(channel.choice, "") + text
        number += 1
    for index, text in whole.items():
        name = RESPONSES[index % 3]
        key = "arguments" if "arguments" in name else "text"
        done = {"type": f"{name}.done", "output_index": index, "sequence_number": number, key: text}
        out.append(named(done))
        number += 1
    output = [{"arguments" if i % 3 == 1 else "text": text} for i, text in whole.items()]
    last = {"type": "response.completed", "sequence_number": number, "response": {"output": output}}
    return b"".join([*out, named(last)])


STREAMS = {
    Kind.CHAT: chat,
    Kind.COMPLETIONS: completions,
    Kind.MESSAGES: messages,
    Kind.RESPONSES: responses,
}
NAMES = st.sampled_from(["content", "reasoning_content", "refusal", "arguments", "input"])


def channels(kind):
    if kind is Kind.CHAT:
        return st.builds(Channel, st.integers(0, 2), NAMES).map(
            lambda c: c._replace(part=int(c.name == "arguments"))
        )
    return st.builds(Channel, st.integers(0, 2), st.just("text"))


@st.composite
def said(draw, kind):
    """Texts in pieces, interleaved."""
    texts = draw(st.dictionaries(channels(kind), TEXTS, max_size=3))
    queues = [(channel, draw(chunked(text))) for channel, text in texts.items()]
    pieces = []
    while queues:
        index = draw(st.integers(0, len(queues) - 1))
        channel, left = queues[index]
        if left:
            pieces.append((channel, left.pop(0)))
        else:
            queues.pop(index)
    return pieces


def play(transform, chunks):
    return b"".join([*map(transform.feed, chunks), transform.finish()])


def heard(kind, stream):
    """Put the texts together as a client does."""
    texts = {}
    for event in Splitter().feed(stream):
        if event.data.startswith(b"{"):
            document = json.loads(event.data)
            for piece in deltas.read(kind, document).pieces:
                texts[piece.channel] = texts.get(piece.channel, "") + piece.text
    return texts


@pytest.mark.parametrize("kind", STREAMS)
@given(st.data())
def test_streams_in_any_chunks(kind, data):
    pieces = data.draw(said(kind))
    stream = STREAMS[kind](pieces)
    whole = play(restoring(kind, VALUES), [stream])
    assert play(restoring(kind, VALUES), data.draw(chunked(stream))) == whole
    before, after = heard(kind, stream), heard(kind, whole)
    assert {c: t for c, t in after.items() if t} == {
        c: restored(t, int(c.is_json)) for c, t in before.items() if t
    }


@given(st.data())
def test_responses_repeat_what_was_restored(data):
    pieces = data.draw(said(Kind.RESPONSES))
    shown = play(restoring(Kind.RESPONSES, VALUES), data.draw(chunked(responses(pieces))))
    events = [json.loads(event.data) for event in Splitter().feed(shown)]
    texts = {channel.choice: text for channel, text in heard(Kind.RESPONSES, shown).items()}
    done = [event for event in events if event["type"].endswith(".done")]
    assert {e["output_index"]: e.get("text", e.get("arguments")) for e in done} == texts
    output = events[-1]["response"]["output"]
    assert [part.get("text", part.get("arguments")) for part in output] == list(texts.values())
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


@pytest.mark.parametrize("kind", [Kind.CHAT, Kind.MESSAGES, Kind.RESPONSES])
@given(st.data())
def test_answers_in_json(kind, data):
    text, argument = data.draw(TEXTS), data.draw(TEXTS)
    call = {"arguments": json.dumps({"to": argument}), "index": 0}
    answer = {"id": "x", "choices": [{"message": {"content": text, "tool_calls": [call]}}]}
    if kind is Kind.MESSAGES:
        answer["choices"][0]["message"]["tool_calls"] = [{"input": {argument: [1, argument]}}]
    raw = json.dumps(answer, indent=1, ensure_ascii=data.draw(st.booleans())).encode()
    shown = json.loads(play(restoring(kind, VALUES), data.draw(chunked(raw))))
    message = shown["choices"][0]["message"]
    # A backslash in a text is two in its literal: what looks like an escape there may be read as one.
    if "\\" not in text:
        assert message["content"] == restored(text)
    if "\\" not in argument and kind is not Kind.MESSAGES:
        assert json.loads(message["tool_calls"][0]["arguments"]) == {"to": restored(argument)}
    elif "\\" not in argument:
        whole = restored(argument)
        assert message["tool_calls"][0]["input"] == {whole: [1, whole]}


@pytest.mark.parametrize("whole", recorded("text/event-stream") + recorded("application/json"))
def test_recorded_answers_pass_unchanged(whole):
    values = {"<QX_KXWQPTZB>": "x"}
    for kind in STREAMS:
        for size in (1, 100, len(whole)):
            chunks = [whole[i : i + size] for i in range(0, len(whole), size)]
            assert play(restoring(kind, values), chunks) == whole
        shown = play(restoring(kind, VALUES), [whole])  # a text may end with the E of EMAIL
        assert heard(kind, shown) == heard(kind, whole)


def test_a_broken_stream_keeps_what_was_said():
    cut = chat_event(Channel(0, "content"), "to <EMAIL_KXW") + b'data: {"id'
    shown = play(restoring(Kind.CHAT, VALUES), [cut])
    assert shown.index(b'data: {"id') < shown.index(b"<EMAIL_KXW")
    assert heard(Kind.CHAT, shown[: shown.rindex(b"data: ")]) is not None


def test_answers_that_must_be_json_stay_json():
    text = json.dumps({"key": "<PRIVATE_KEY_TTTTTTTT>"})
    stream = chat([(Channel(0, "content"), text)])
    shown = heard(Kind.CHAT, play(restoring(Kind.CHAT, VALUES, in_json=True), [stream]))
    assert json.loads(shown[Channel(0, "content")]) == {"key": VALUES["<PRIVATE_KEY_TTTTTTTT>"]}
    answer = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
    shown = json.loads(play(restoring(Kind.CHAT, VALUES, in_json=True), [answer]))
    content = json.loads(shown["choices"][0]["message"]["content"])
    assert content == {"key": VALUES["<PRIVATE_KEY_TTTTTTTT>"]}


def test_it_is_told_before_the_first_value():
    told = []

    def refuse():
        told.append(1)
        raise OSError("the log is full")

    transform = restoring(Kind.CHAT, VALUES, begin=refuse)
    assert transform.feed(chat_event(Channel(0, "content"), "hello <"))
    with pytest.raises(OSError, match="full"):
        transform.feed(chat_event(Channel(0, "content"), "EMAIL_KXWQPTZB>"))
    assert told == [1]
