"""What to reserve for an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.expect import MOST_TOKENS, NOTHING, UNKNOWN_CONTEXT, expect_completion
from extproc.request import Kind

USUAL = 300


def expect(kind, document, prompt_tokens=100, context_tokens=1000, usual=USUAL):
    found = expect_completion(kind, document, prompt_tokens, context_tokens, usual)
    return found.likely_tokens, found.most_tokens


@pytest.mark.parametrize(
    ("kind", "document", "likely", "most"),
    [
        (Kind.CHAT, {"max_tokens": 50}, 50, 50),
        (Kind.CHAT, {"max_tokens": 500}, USUAL, 500),
        (Kind.CHAT, {"max_tokens": 5000}, USUAL, 900),
        (Kind.CHAT, {}, USUAL, 900),
        (Kind.CHAT, {"max_completion_tokens": 20, "max_tokens": 30}, 30, 30),
        (Kind.CHAT, {"max_tokens": 50, "n": 3}, 150, 150),
        (Kind.CHAT, {"max_tokens": 500, "n": 2}, 600, 1000),
        (Kind.RESPONSES, {"max_output_tokens": 10}, 10, 10),
        (Kind.MESSAGES, {"max_tokens": 800}, USUAL, 800),
        (Kind.COMPLETIONS, {"prompt": "x"}, 16, 16),
        (Kind.COMPLETIONS, {"prompt": "x", "max_tokens": 0}, 0, 0),
        (Kind.COMPLETIONS, {"prompt": ["a", "b"], "max_tokens": 5}, 10, 10),
        (Kind.COMPLETIONS, {"prompt": [1, 2, 3], "max_tokens": 5}, 5, 5),
        (Kind.COMPLETIONS, {"prompt": [[1], [2], [3]], "max_tokens": 5, "n": 2}, 30, 30),
        (Kind.COMPLETIONS, {"prompt": "x", "max_tokens": 5, "best_of": 4}, 20, 20),
        (Kind.COMPLETIONS, {"prompt": "x", "max_tokens": 5, "n": 3, "best_of": 2}, 15, 15),
        (Kind.EMBEDDINGS, {"input": "x"}, 0, 0),
        (Kind.COUNT_TOKENS, {}, 0, 0),
    ],
)
def test_a_context_of_a_thousand(kind, document, likely, most):
    assert expect(kind, document) == (likely, most)


def test_a_prompt_that_fills_the_context_leaves_one_token():
    assert expect(Kind.CHAT, {"max_tokens": 50}, prompt_tokens=5000) == (1, 1)


def test_without_a_context_and_without_a_bound():
    unknown = expect(Kind.CHAT, {}, prompt_tokens=768, context_tokens=None)
    assert unknown == (USUAL, UNKNOWN_CONTEXT - 768)
    assert expect(Kind.CHAT, {"max_tokens": 10**6}, context_tokens=None) == (USUAL, 10**6)


def test_prompts_of_a_batch_share_what_was_counted():
    batch = {"prompt": ["x"] * 10, "max_tokens": 500}
    assert expect(Kind.COMPLETIONS, batch, prompt_tokens=9000) == (1000, 1000)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just(2**200),
    st.lists(st.integers(), max_size=3), st.lists(st.text(max_size=2), max_size=3),
)  # fmt: skip


@settings(deadline=None)
@given(
    st.sampled_from(Kind),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("n", "best_of", "max_tokens", "max_completion_tokens", "max_output_tokens", "prompt"),
            ODD,
        ),
    ),
    st.integers(0, 2**40),
    st.none() | st.integers(1, 2**30),
    st.integers(1, 2**20),
)
def test_nothing_makes_it_fail(kind, document, prompt_tokens, context_tokens, usual):
    found = expect_completion(kind, document, prompt_tokens, context_tokens, usual)
    assert 0 <= found.likely_tokens <= found.most_tokens <= MOST_TOKENS
    assert (found == NOTHING) == (found.answers == 0)
