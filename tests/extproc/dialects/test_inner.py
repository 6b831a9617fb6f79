"""JSON inside a text: what is read, what is refused, and how it is written back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.dialects.inner import read_inner, unescape, write_inner


def test_escapes_are_read():
    assert read_inner('{"to": "\\u0041@b.cd", "n": [1, null]}') == {"to": "A@b.cd", "n": [1, None]}


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a":1}x', '{"a":NaN}', "[Infinity]", '{"a":1,"a":2}', '[{"b":{"a":1,"a":1}}]', "[" * 10_000],
)  # fmt: skip
def test_what_two_readers_might_read_differently_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is all that callers look at
        read_inner(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain", "plain"),
        ('{"a":"\\u0041@b.cd"', '{"a":"A@b.cd"'),
        ("\\ud83d\\ude00", "\N{GRINNING FACE}"),
        ("\\ud83d!", "\N{REPLACEMENT CHARACTER}!"),
        ("\\u00g1", "\\u00g1"),
    ],
)
def test_escapes_are_read_in_what_is_no_json(text, read):
    assert unescape(text) == read


@pytest.mark.parametrize(
    ("like", "written"),
    [
        ('{"a":"x"}', '{"a":"\u738b","b":1}'),
        ('{"a": "x"}', '{"a": "\u738b", "b": 1}'),
        ('{"a":"\\u5f20"}', '{"a":"\\u738b","b":1}'),
        ('{"a":"\u5f20\\u5f20"}', '{"a":"\u738b","b":1}'),
    ],
)
def test_spaces_and_escapes_stay_as_they_were(like, written):
    assert write_inner({"a": "\u738b", "b": 1}, like) == written


def test_half_a_surrogate_pair_is_written_as_an_escape():
    assert write_inner({"a": "\ud83d"}, '{"a":"x"}') == '{"a":"\\ud83d"}'


@given(
    st.recursive(
        st.text(st.characters(), max_size=5) | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    ),
    st.sampled_from(['{"a":1}', '{"a": 1}', '{"a":"\\u0041"}']),
)
def test_what_is_written_can_be_sent_and_reads_the_same(value, like):
    text = write_inner(value, like)
    text.encode()
    assert read_inner(text) == value == json.loads(text)
