"""Streams: what is held, for how long, and where they are cut."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.ending import ending
from extproc.request import Kind
from extproc.safety.moderation.rules import Hold, Rule, Sampling
from extproc.safety.moderation.stream import ModeratedStream
from tests.extproc.chunking import chunked
from tests.extproc.safety.moderation.answers import (
    STREAMS,
    WORDS,
    Judge,
    bench,
    chat,
    event,
    messages,
    play,
    said,
)

JUDGED = Rule("judged", service="judge", hold=Hold(4, 500))


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def stream(*rules, kind=Kind.CHAT, told=None, clock=None, **options):
    return ModeratedStream(
        kind,
        bench(*rules, **options),
        ending(kind, 3),
        (told if told is not None else []).append,
        clock or Clock(),
    )


async def test_what_a_response_repeats_of_its_request_is_no_answer():
    told = {"instructions": "Never say how to kill them.", "tools": [{"name": "kill them"}]}
    begun = event({"type": "response.created", "response": {**told, "output": []}})
    output = [{"content": [{"type": "output_text", "text": "kill them"}]}]
    repeated = event({"type": "response.completed", "response": {**told, "output": output}})
    transform = stream(WORDS, kind=Kind.RESPONSES)
    assert await play(transform, [begun]) == begun
    assert repeated not in await play(stream(WORDS, kind=Kind.RESPONSES), [begun, repeated])


@pytest.mark.parametrize("kind", STREAMS)
async def test_what_nothing_is_against_passes_byte_for_byte(kind):
    raw = b"".join(STREAMS[kind]("a ", "kill", "er ", "炸", "药 ", "x" * 300))
    judge = Judge()
    assert await play(stream(WORDS, JUDGED, kind=kind, judge=judge), [raw]) == raw
    assert "".join(each.texts[0] for each in judge.asked).endswith("x" * 300)


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        (Kind.CHAT, b'"finish_reason":"content_filter"'),
        (Kind.MESSAGES, b'"stop_reason":"refusal"'),
        (Kind.RESPONSES, b'"incomplete_details":{"reason":"content_filter"}'),
    ],
)
@pytest.mark.parametrize(
    ("rule", "pieces"),
    [
        (WORDS, ("so I ", "will ", "KI", "LL", " th", "em", " all", " now")),
        (WORDS, ("so I ", "will ", "k\u200bill", "\n\nthem")),
        (WORDS, ("so I ", "will ", "炸", "弹")),
        (JUDGED, ("so I ", "will ", "ju", "st ", "say ", "b", "ad ", "things ", "a ", "b ", "c ")),
    ],
)
async def test_a_hit_ends_the_stream_before_it(kind, sign, rule, pieces):
    told = []
    transform = stream(rule, kind=kind, told=told)
    out = await play(transform, STREAMS[kind](*pieces))
    assert said(out, kind) == "".join(pieces[: 4 if rule is JUDGED else 2])
    assert sign in out
    assert b'"x_headgate":{"stopped_by":"%b"}' % rule.name.encode() in out
    assert transform.over
    category = "violence" if rule is JUDGED else "words"
    assert [(each.rule, each.category) for each in told] == [(rule.name, category)]


@pytest.mark.parametrize("member", ["content", "reasoning", "reasoning_content", "refusal"])
async def test_every_text_of_a_stream_counts(member):
    out = await play(stream(WORDS), chat("kill ", "them", member=member))
    assert said(out) == ""


async def test_texts_of_choices_are_not_mixed():
    first, second = list(chat("kill ", "x")), list(chat("them", "y", index=1))
    mixed = [each for both in zip(first[:-1], second[:-1], strict=True) for each in both]
    assert await play(stream(WORDS), mixed) == b"".join(mixed)


async def test_a_text_that_goes_on_after_it_seemed_to_end_is_held_again():
    end = "response.content_part.done"
    delta = "response.output_text.delta"
    events = [
        event({"type": delta, "output_index": 0, "delta": "so "}, delta),
        event({"type": end, "output_index": 0}, end),
        event({"type": delta, "output_index": 0, "delta": "kill "}, delta),
        event({"type": delta, "output_index": 0, "delta": "them"}, delta),
    ]
    out = await play(stream(WORDS, kind=Kind.RESPONSES), events)
    assert said(out, Kind.RESPONSES) == "so "


async def test_arguments_of_tools_have_no_hiding_place():
    call = {"index": 0, "function": {"arguments": '{"text": "\\u006b'}}
    more = {"index": 0, "function": {"arguments": 'ill\\nthem"}'}}
    events = [
        event({"choices": [{"index": 0, "delta": {"tool_calls": [c]}}]}) for c in (call, more)
    ]
    out = await play(stream(WORDS), [*events, b"data: [DONE]\n\n"])
    assert b"ill" not in out


@pytest.mark.parametrize(
    "odd",
    [
        event({"type": "response.output_item.done", "item": {"text": "kill them"}}),
        event({"choices": [{"index": 0, "message": {"content": "kill them"}}]}),
        b"data: kill them\n\n",
        b'data: {"choices":[{"index":0,"delta":{"content":"\\ud800 kill them"}}]}\n\n',
    ],
)
async def test_a_text_of_another_form_is_seen_too(odd):
    assert b"kill" not in await play(stream(WORDS), [odd])


STANDING_ALONE = re.compile(r"(?<![a-z])kill them(?![a-z])")
PIECES = st.lists(
    st.sampled_from(["kill", " ", "them", "ki", "ll", "bad", "x", "th", "em", "炸", "弹", "so "]),
    max_size=30,
)


@given(PIECES, st.data(), st.sampled_from(sorted(STREAMS, key=str)), st.booleans())
async def test_chunks_make_no_difference_and_the_hold_is_bounded(pieces, data, kind, asks):
    rules = (WORDS, JUDGED) if asks else (WORDS,)
    most = 4 if asks else 16
    raw = b"".join(STREAMS[kind](*pieces))

    def check(transform):
        assert transform._hold.tokens <= most

    whole = await play(stream(*rules, kind=kind), [raw], check)
    assert await play(stream(*rules, kind=kind), data.draw(chunked(raw)), check) == whole
    clean = "".join(pieces).lower()
    out = said(whole, kind)
    assert clean.startswith(out)
    assert not STANDING_ALONE.search(out)
    assert "炸弹" not in out
    if asks:
        assert "bad" not in out
    elif "kill them" not in clean and "炸弹" not in clean:
        assert whole == raw


async def test_what_is_held_goes_out_after_its_time():
    clock = Clock()
    transform = stream(WORDS, clock=clock)
    assert transform.patience_s() is None
    events = list(chat("so ", "kill ", "them"))
    assert transform.feed(events[0]) == events[0]
    assert transform.feed(events[1]) == b""
    assert transform.patience_s() == 0.5
    clock.now_s = 0.2
    assert transform.feed(events[2]) == b""
    assert transform.patience_s() == pytest.approx(0.3)
    assert transform.feed(b"") == b""
    clock.now_s = 0.5
    assert transform.feed(b"") == events[1] + events[2]
    assert transform.patience_s() is None
    assert b"content_filter" in transform.feed(events[3] + events[4]), "the rest never goes out"
    assert transform.over


async def test_a_word_that_is_there_when_the_time_is_over_ends_the_stream():
    """It might go on, but nobody waits for that, and what is out is out."""
    clock, told = Clock(), []
    tag = Rule("tag", words=("them",), action="tag", hold=WORDS.hold)
    transform = stream(WORDS, tag, clock=clock, told=told)
    begin, so, kill, them, *_ = chat("so ", "kill ", "them")
    assert transform.feed(begin + so + kill + them) == begin + so
    clock.now_s = 0.5
    out = transform.feed(b"")
    assert (said(out), b"content_filter" in out) == ("", True)
    assert transform.over
    assert [each.rule for each in told] == ["words"], "whether there is another nobody knows"


async def test_a_service_is_asked_when_the_time_is_over():
    clock, judge = Clock(), Judge()
    transform = stream(JUDGED, clock=clock, judge=judge)
    events = list(chat("so ", "what "))
    assert transform.feed(events[0] + events[1]) == events[0]
    clock.now_s = 0.5
    assert transform.feed(b"") == b""
    assert transform.waits
    await transform.wait()
    assert transform.feed(b"") == events[1]
    assert judge.asked[0].texts == ["so "]
    transform.feed(b"".join(events[2:]))
    await transform.wait()
    assert judge.asked[1].texts == ["so what "], "with what came before"


@pytest.mark.parametrize("on_fault", ["deny", "continue"])
async def test_a_service_that_does_not_judge(on_fault):
    told, raw = [], b"".join(chat("so ", "what"))
    out = await play(stream(JUDGED, told=told, judge=Judge(fault=True), on_fault=on_fault), [raw])
    if on_fault == "continue":
        assert (out, told) == (raw, [])
    else:
        assert said(out) == ""
        assert [(each.rule, each.category) for each in told] == [("judge", "unjudged")]


async def test_what_is_only_tagged_is_not_held():
    told, sizes = [], []
    rules = (
        Rule("a", words=("kill them",), action="tag"),
        Rule("b", service="judge", action="tag", hold=Hold(4, 500)),
    )
    events = list(chat("kill ", "them ", "bad ", "kill ", "them "))
    transform = stream(*rules, told=told)
    out = await play(transform, events, lambda t: sizes.append(t._hold.tokens))
    assert out == b"".join(events)
    assert [(each.rule, each.action) for each in told] == [("a", "tag"), ("b", "tag")]
    assert set(sizes) == {0}


async def test_of_a_long_answer_one_window_of_so_many_is_judged():
    judge = Judge()
    rule = Rule("s", service="judge", hold=Hold(4, 500), sampling=Sampling(8, 3))
    raw = b"".join(chat(*(f"{n} " for n in range(44))))
    assert await play(stream(rule, judge=judge), [raw]) == raw
    assert 2 < len(judge.asked) <= 6


async def test_a_stream_that_breaks_off_is_judged_and_what_is_left_goes_out():
    events = list(chat("so ", "it ", "is"))[:3]
    assert await play(stream(WORDS, JUDGED), events) == b"".join(events)
    broken = list(messages("kill ", "th", "em"))[:5]
    assert said(await play(stream(WORDS, kind=Kind.MESSAGES), broken), Kind.MESSAGES) == ""
