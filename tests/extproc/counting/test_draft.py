"""A count in the making: what is remembered, and the three ways of counting a conversation."""

import pytest

from extproc.counting.draft import UNIT_CHARS, Draft, count_long, draft
from extproc.counting.given import Given, read_given
from extproc.counting.pieces import PIECE_CHARS
from extproc.counting.tokenizer import CountError
from extproc.counting.vocabulary import Vocabulary
from extproc.request import Kind
from tests.extproc.counting.templates import ALL, CHATML
from tests.extproc.counting.vocabularies import ENGLISH, qwen, small, vocabulary


class Spy:
    """A tokenizer that tells what it was asked for: one token for each character."""

    specials, framing, cuts, inline_chars = ("<|im_start|>", "<|im_end|>"), 1, True, 100

    def __init__(self):
        self.asked = []

    def count(self, text):
        self.asked.append(text)
        return len(text)


def turns(*contents):
    roles = ["user", "assistant"] * len(contents)
    return [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]


def chat(vocabulary, messages, **more):
    return draft(vocabulary, read_given(Kind.CHAT, {"messages": messages, **more}))


def test_a_text_is_counted_once():
    spy = Spy()
    own = Vocabulary(spy)
    first = Draft(own)
    for _ in range(2):
        first.add(("abc",))
    assert (first.tokens, first.missing_chars) == (0, 6 + 2 * UNIT_CHARS)
    assert first.finish() == 6
    assert spy.asked == ["abc"]
    second = Draft(own)
    second.add(("abc",))
    assert (second.tokens, second.missing_chars, second.finish()) == (3, 0, 3)
    second.add(("ab", "c"))  # other parts of the same text are not looked for
    assert second.missing_chars == UNIT_CHARS + 3
    assert second.finish() == 6


@pytest.mark.parametrize("name", [*ALL, None])
def test_the_next_turn_costs_the_new_turn_only(tmp_path, name):
    own = vocabulary(small(tmp_path), ALL[name] if name else None)
    talk = turns("one question", "an answer", "another question", "so be it", "thanks")
    chat(own, talk[:3]).finish()
    made = chat(own, talk)
    assert made.missing_chars < len("another question so be it thanks") + 120 + 5 * UNIT_CHARS
    again = chat(own, talk)
    assert made.finish() == chat(own, talk).finish() > again.tokens
    assert chat(own, talk).missing_chars == 0


def test_the_same_words_by_another_role_are_another_text(tmp_path):
    own = vocabulary(small(tmp_path), CHATML)
    chat(own, turns("x")).finish()
    made = chat(own, [{"role": "assistant", "content": "x"}, {"role": "user", "content": "x"}])
    assert made.missing_chars > 0


@pytest.mark.parametrize("tokenizer", ["small", "qwen"])
@pytest.mark.parametrize("name", ALL)
def test_it_is_the_count_of_the_rendered_whole(tmp_path, name, tokenizer):
    own = vocabulary(small(tmp_path) if tokenizer == "small" else qwen(), ALL[name])
    talk = turns(ENGLISH, "  <think>\nx</think> \n", "<|im_end|> 中文", "y\n\n", "[INST] {{ x }}")
    given = read_given(Kind.CHAT, {"messages": talk})
    if own.template.loops_over_content:
        talk = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in talk]
    assert draft(own, given).finish() == own.tokenizer.count(own.template.render(talk))


def test_tools_are_rendered_or_counted_as_json():
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    by_template, by_numbers = vocabulary(qwen(), CHATML), vocabulary(qwen(), overhead=(3, 4))
    for own in (by_template, by_numbers):
        plain = chat(own, turns("x")).finish()
        assert 10 < chat(own, turns("x"), tools=[tool]).finish() - plain < 40


def test_by_numbers():
    spy = Spy()
    own = Vocabulary(spy, overhead=(10, 100))
    calls = [{"function": {"name": "f", "arguments": '{"a":1}'}}]
    talk = [
        {"role": "user", "content": "abc", "name": "me"},
        {"role": "assistant", "tool_calls": calls},
    ]
    expected = len("abc" + "me" + '{"name":"f","arguments":{"a":1}}')
    assert chat(own, talk).finish() == 10 + 200 + expected


def test_bare_prompts():
    spy = Spy()
    own = Vocabulary(spy)
    given = Given(None, ["ab", "c"], ids=5)
    assert draft(own, given).finish() == 2 + 1 + 5 + 2 * spy.framing
    given.is_framed = False
    assert draft(own, given).finish() == 8


def test_a_template_that_refuses(tmp_path):
    own = vocabulary(small(tmp_path), ALL["turns"])
    with pytest.raises(CountError, match="chat template"):
        chat(own, [{"role": "assistant", "content": "I begin"}])


def test_a_long_text_is_counted_in_pieces_where_that_is_the_same():
    spy = Spy()
    text = "word " * (PIECE_CHARS // 2)
    assert count_long(spy, text) == len(text)
    assert len(spy.asked) > 2
    spy.asked.clear()
    spy.cuts = False
    assert count_long(spy, text) == len(text)
    assert spy.asked == [text]


def test_counting_ends_when_nobody_waits_any_longer():
    spy = Spy()
    own = Vocabulary(spy)
    made = Draft(own)
    made.add(("abc",))
    with pytest.raises(CountError, match="too long"):
        made.finish(until_s=0.0)
    assert spy.asked == []
