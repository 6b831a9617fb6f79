import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.sim.tokens import (
    VOCABULARY_TOKENS,
    Tokenizer,
    Turn,
    count,
    pieces,
    render_chat,
    text_of_ids,
    token_id,
)

TEXTS = st.text(st.sampled_from("ab1_ \n\t.,<|>é你あ한🌱—\u3000\u0301")) | st.text()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n ", []),
        ("Hello, world!", ["Hello", ",", " world", "!"]),
        ("two  words ", ["two", "  words"]),
        ("snake_case2", ["snake_case2"]),
        ("it's", ["it", "'", "s"]),
        ("naïve café", ["naïve", " café"]),
        ("你好 hi", ["你", "好", " hi"]),
        ("hi你", ["hi", "你"]),
        ("日本語、", ["日", "本", "語", "、"]),
        ("Привет мир", ["Привет", " мир"]),
        ("🌱🌱", ["🌱", "🌱"]),
        ("<|user|>hi<|end|>", ["<|user|>", "hi", "<|end|>"]),
        ("<|user", ["<", "|", "user"]),
        ("a\u3000b", ["a", "\u3000b"]),
    ],
)
def test_pieces(text: str, tokens: list[str]):
    assert pieces(text) == tokens


@settings(deadline=None)
@given(TEXTS)
def test_pieces_are_the_text_without_the_space_at_its_end(text: str):
    assert "".join(pieces(text)) == text.rstrip()


@settings(deadline=None)
@given(TEXTS, st.integers(1, 5))
def test_blocks_are_full_and_together_with_the_tail_are_the_text(text: str, block_size: int):
    prompt = Tokenizer(block_size).prompt(text)

    assert "".join(prompt.blocks) + prompt.tail == text.rstrip()
    assert prompt.tokens == count(text)
    assert [count(block) for block in prompt.blocks] == [block_size] * len(prompt.blocks)
    assert count(prompt.tail) < block_size


@settings(deadline=None)
@given(st.lists(TEXTS), TEXTS)
def test_a_chat_costs_its_contents_two_per_message_and_one(contents: list[str], tools: str):
    chat = render_chat([Turn("user", content) for content in contents], tools)

    in_messages = sum(count(content) + 2 for content in contents)
    in_tools = count(tools) + 2 if tools else 0
    assert count(chat) == in_messages + in_tools + 1


def test_an_answer_that_comes_back_continues_the_prompt_it_was_given_to():
    first = render_chat([Turn("user", "hi")])
    second = render_chat([Turn("user", "hi"), Turn("assistant", "ho"), Turn("user", "more")])
    assert second.startswith(first + "ho<|end|>")


def test_a_prompt_of_ids_has_a_token_per_id():
    assert count(text_of_ids([1, 22, 333])) == 3


def test_ids_are_stable_and_inside_the_vocabulary():
    assert token_id("hello") == 20870
    assert all(0 <= token_id(piece) < VOCABULARY_TOKENS for piece in pieces("a b 你 🌱 <|end|>"))


@pytest.mark.parametrize("part", ["a", " ", ".", "<|", "<|a", "你", "é", "a é", "<|a|>"])
def test_a_million_characters_take_no_more_than_linear_time(part: str):
    started_s = time.monotonic()
    Tokenizer(32).prompt(part * (1_000_000 // len(part)))
    assert time.monotonic() - started_s < 5
