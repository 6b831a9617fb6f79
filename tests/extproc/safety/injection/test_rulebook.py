"""Compiled rules."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.injection.rulebook import (
    MOST_IN_WINDOW,
    WINDOW_BYTES,
    make_own,
    rule_ids,
    shipped_rulebook,
    shipped_rules,
    windows,
)
from extproc.safety.injection.rules import Rule


def own(*patterns, view="words", **members):
    return make_own([Rule("own.x", 0.7, "", patterns, view=view, family="own", **members)])


@given(st.text(max_size=3000))
def test_windows_cover_all_and_cut_no_character(text):
    raw = text.encode(errors="replace") * 3
    cuts = list(windows(raw))
    assert cuts[0][0] == 0
    assert cuts[-1][1] == len(raw)
    assert all(right[0] < left[1] for left, right in pairwise(cuts))
    for start, end in cuts:
        raw[start:end].decode()
        assert end - start < WINDOW_BYTES + 4


def test_a_hit_in_two_windows_comes_once():
    raw = b"x " * 400 + b"find me here" + b" y" * 400
    assert [hit.start for hit in own("find me").words.find(raw, "user")] == [800]


def test_only_those_whom_a_rule_is_for():
    book = own("find me", speakers=("tool",))
    assert not list(book.words.find(b"find me", "user"))
    assert list(book.words.find(b"find me", "tool"))


def test_places_in_a_window_are_bounded():
    assert len(list(own("find me").words.find(b"find me " * 100, "user"))) <= MOST_IN_WINDOW


@pytest.mark.parametrize("pattern", ["(a|b", "<nobody> x", "(?=x) y", r"(a)\1 b"])
def test_patterns_that_are_none(pattern):
    with pytest.raises(ValueError, match=r"a|x"):
        own(pattern)


def test_patterns_with_punctuation():
    assert list(own(r"\[\[secret\]\]", view="shown").shown.find(b"a [[secret]]", "user"))


def test_versions_tell_rules_apart():
    assert own("a b").version != own("a c").version
    assert shipped_rulebook().version.startswith(f"{shipped_rules().version}-")
    assert "override.old-rules" in rule_ids(shipped_rules())
