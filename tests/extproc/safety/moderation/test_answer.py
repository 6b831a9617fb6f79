"""The form of an answer is found out as it comes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.dialects.ending import ending
from extproc.dialects.sse import BOM
from extproc.request import Kind
from extproc.safety.moderation.answer import Moderated
from extproc.safety.moderation.rules import Hold, Rule
from tests.extproc.chunking import FIXTURES, chunked
from tests.extproc.dialects.test_ending import RECORDED
from tests.extproc.safety.moderation.answers import WORDS, bench, chat, play, said

JUDGED = Rule("judged", service="judge", hold=Hold(4, 500))


def moderated(*rules):
    return Moderated(Kind.CHAT, bench(*rules), ending(Kind.CHAT, 3), lambda _: None, lambda: 0.0)


@pytest.mark.parametrize("rules", [(WORDS,), (WORDS, JUDGED)])
async def test_both_forms(rules):
    raw = b"".join(chat("kill ", "them ", "bad"))
    transform = moderated(*rules)
    assert said(await play(transform, [raw[:1], raw[1:]])) == ""
    assert transform.over
    out = await play(moderated(*rules), [b"\n ", b"{", b'"choices":[{"text":"kill them"}]}'])
    assert b"content_filter" in out
    assert b"kill" not in out


@pytest.mark.parametrize("rules", [(WORDS,), (WORDS, JUDGED)])
@pytest.mark.parametrize("size", [1, 2, 3, 500])
async def test_a_byte_order_mark_hides_nothing(rules, size):
    raw = BOM + b'{"choices":[{"text":"kill\\u0020them"}]}'
    chunks = [raw[at : at + size] for at in range(0, len(raw), size)]
    out = await play(moderated(*rules), chunks)
    assert b'"finish_reason":"content_filter"' in out
    assert b"kill" not in out


async def test_spaces_before_an_object_hide_no_event():
    raw = b"".join(chat("kill ", "them ", "bad")).replace(b"data: ", b"data:  ")
    transform = moderated(WORDS)
    assert said(await play(transform, [raw])) == ""
    assert transform.over


async def test_an_answer_of_nothing():
    transform = moderated(WORDS, JUDGED)
    assert await play(transform, [b"", b" "]) == b" "
    assert transform.patience_s() is None
    await transform.wait()


async def test_patience_is_that_of_the_stream():
    transform = moderated(WORDS)
    transform.feed(b"".join(list(chat("kill "))[:2]))
    assert transform.patience_s() == 0.5


@pytest.mark.parametrize(("name", "kind"), RECORDED.items())
@given(data=st.data())
@settings(max_examples=10)
async def test_recorded_streams_pass_byte_for_byte(name, kind, data):
    raw = (FIXTURES / f"{name}.body").read_bytes()
    for rules in ((WORDS,), (WORDS, JUDGED)):
        transform = Moderated(kind, bench(*rules), ending(kind, 3), lambda _: None, lambda: 0.0)
        assert await play(transform, data.draw(chunked(raw))) == raw
