"""How long an answer may get and how long a prompt is at least, in every dialect."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.lengths import (
    ANSWERS,
    PROMPTS,
    UNSAID,
    count_answers,
    count_least,
    find_length,
)
from extproc.dialects.shapes import SHAPES
from extproc.request import Kind


def test_every_operation_with_a_body_has_a_prompt():
    assert PROMPTS.keys() == SHAPES.keys()
    assert SHAPES.keys() >= ANSWERS
    assert UNSAID.keys() <= ANSWERS


@pytest.mark.parametrize(
    ("kind", "document", "found"),
    [
        (Kind.CHAT, {}, None),
        (Kind.CHAT, {"max_tokens": 5}, ("max_tokens", 5)),
        (Kind.CHAT, {"max_completion_tokens": 6}, ("max_completion_tokens", 6)),
        (Kind.CHAT, {"max_tokens": 5, "max_completion_tokens": 6}, ("max_completion_tokens", 6)),
        (Kind.CHAT, {"max_tokens": 7, "max_completion_tokens": 6}, ("max_tokens", 7)),
        (Kind.CHAT, {"max_tokens": None, "max_completion_tokens": 6}, ("max_completion_tokens", 6)),
        (Kind.CHAT, {"max_tokens": True}, None),
        (Kind.CHAT, {"max_output_tokens": 5}, None),
        (Kind.COMPLETIONS, {"max_tokens": 0}, ("max_tokens", 0)),
        (Kind.COMPLETIONS, {"max_completion_tokens": 5}, None),
        (Kind.RESPONSES, {"max_output_tokens": 5, "max_tokens": 9}, ("max_output_tokens", 5)),
        (Kind.MESSAGES, {"max_tokens": 5}, ("max_tokens", 5)),
        (Kind.COUNT_TOKENS, {"max_tokens": 5}, None),
        (Kind.EMBEDDINGS, {"max_tokens": 5}, None),
    ],
)
def test_the_bound_of_an_answer(kind, document, found):
    assert find_length(kind, document) == found


@pytest.mark.parametrize(
    ("kind", "given", "least"),
    [
        (Kind.CHAT, [{}], 1),
        (Kind.CHAT, [{}] * 7, 7),
        (Kind.COMPLETIONS, "a long text", 1),
        (Kind.COMPLETIONS, ["a", "b", "c"], 1),
        (Kind.COMPLETIONS, [1, 2, 3], 3),
        (Kind.COMPLETIONS, [[1, 2], [1, 2, 3, 4], [1]], 4),
        (Kind.COMPLETIONS, [], 1),
        (Kind.COMPLETIONS, ["a", [1, 2]], 2),
        (Kind.EMBEDDINGS, [1, 2, 3], 3),
        (Kind.EMBEDDINGS, "x", 1),
        (Kind.RESPONSES, "x", 1),
        (Kind.RESPONSES, [{}, {}], 2),
        (Kind.MESSAGES, [{}, {}, {}], 3),
        (Kind.COUNT_TOKENS, [{}], 1),
    ],
)
def test_the_least_a_prompt_can_be(kind, given, least):
    assert count_least(kind, {PROMPTS[kind]: given}) == (PROMPTS[kind], least)


def test_a_prompt_that_is_cut_to_size_is_never_too_long():
    document = {"prompt": list(range(100)), "truncate_prompt_tokens": 10}
    assert count_least(Kind.COMPLETIONS, document) == ("prompt", 0)


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=5))
def test_the_longest_of_several_prompts_counts(prompts):
    _, least = count_least(Kind.COMPLETIONS, {"prompt": prompts})
    assert least == max(len(prompt) for prompt in prompts)


@pytest.mark.parametrize(
    ("kind", "document", "n"),
    [
        (Kind.CHAT, {}, 1),
        (Kind.CHAT, {"n": None}, 1),
        (Kind.CHAT, {"n": 3}, 3),
        (Kind.COMPLETIONS, {"n": 2}, 2),
        (Kind.RESPONSES, {"n": 3}, 1),
        (Kind.MESSAGES, {"n": 3}, 1),
        (Kind.EMBEDDINGS, {"n": 3}, 1),
    ],
)
def test_the_answers_to_a_prompt(kind, document, n):
    assert count_answers(kind, document) == n
