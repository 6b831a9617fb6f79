"""Words and patterns, in whole texts and in pieces."""

from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extproc.safety.expressions import FloodError
from extproc.safety.moderation.rules import Rule
from extproc.safety.moderation.words import (
    MOST_MATCHES,
    Lexicon,
    Reader,
    check_pattern,
    unescape,
)
from extproc.safety.pii.own import OwnError

RULES = [
    Rule("words", words=("pipe bomb", "Kill", "炸弹", "бой")),
    Rule("patterns", patterns=(r"buy\s?\d{1,3}\s?guns?", "폭탄|爆炸物"), pattern_chars=20),
]
LEXICON = Lexicon(RULES)
ALL = frozenset({"words", "patterns"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a PIPE  bomb.", ["words"]),
        ("a pipe bomber", []),
        ("kill", ["words"]),
        ("skill, killer", []),
        ("\uff4b\uff49\uff4c\uff4c", ["words"]),
        ("k\u200bill", ["words"]),
        ("我要炸弹吗", ["words"]),
        ("герой бой", ["words"]),
        ("герой разбойник", []),
        ("Buy 12 Guns", ["patterns"]),
        ("rebuy12guns", ["patterns"]),
        ("이 폭탄은", ["patterns"]),
        ("kill with 爆炸物", ["patterns", "words"]),
        ("", []),
        ("\ud800 kill", ["words"]),
    ],
)
def test_read(text, found):
    assert sorted(each.name for each in LEXICON.read(text, ALL)) == found


def test_only_rules_that_are_wanted_count():
    assert not LEXICON.read("kill", frozenset({"patterns"}))
    assert LEXICON.reach(frozenset({"words"})) == len("pipe bomb") + 1
    assert LEXICON.reach(ALL) == 21
    assert LEXICON.reach(frozenset()) == 1


SOME = st.lists(
    st.sampled_from(["ki", "ll", "k", "l", " ", "pipe", " bo", "mb", "炸", "弹", "buy 1", "2", " gun", "s", "x", "é", "\n"]),
    max_size=40,
)  # fmt: skip


@given(SOME, st.booleans())
def test_what_is_found_in_pieces_is_what_is_found_in_the_whole(pieces, is_json):
    reader = Reader(LEXICON, ALL, LEXICON.reach(ALL), is_json=is_json)
    found = []
    for piece in pieces:
        found += reader.feed(piece)
    found += reader.finish()
    whole = "".join(pieces)
    assert {each.rule.name for each in found} == {r.name for r in LEXICON.read(whole, ALL)}


@given(SOME)
@example(["buy 1", " gun", "ki", "ki", "ki", "ki", "pipe"])
@example(["炸", "弹", "ki", "ll", " gun", "ki", "ki", "ki", "ki", "ki", " bo"])
def test_no_rule_is_broken_before_what_was_clear(pieces):
    """A rule that was broken before is told again, there or where it is broken next."""
    reader, clear, told = Reader(LEXICON, ALL, LEXICON.reach(ALL)), 0, set()
    for read in (*(partial(reader.feed, piece) for piece in pieces), reader.finish):
        new = [each for each in read() if each.rule.name not in told]
        assert all(each.start >= clear for each in new if each.end > clear)
        clear = reader.clear
        told |= {each.rule.name for each in new}


@given(st.integers(0, 12), st.integers(0, 12))
def test_escapes_in_json_hide_nothing(first, second):
    text = '"\\u006bil\\u006C\\n"'
    first, second = sorted((min(first, len(text)), min(second, len(text))))
    reader = Reader(LEXICON, ALL, 30, is_json=True)
    found = []
    for piece in (text[:first], text[first:second], text[second:]):
        found += reader.feed(piece)
    assert "words" in {each.rule.name for each in [*found, *reader.finish()]}


def test_unescape():
    assert unescape(r"a\nb\\u006b\"") == 'a b\\u006b"'


@pytest.mark.parametrize(
    "pattern", ["^kill", "kill$", r"\Akill", r"kill\z", "(a", "x*", "(?=a)", "a^b"]
)
def test_patterns_that_make_no_sense(pattern):
    with pytest.raises(OwnError):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"a\$b", "[^a]b", "[$]9", r"\^", r"\bkill\b", "[]^]x"])
def test_patterns_that_do(pattern):
    check_pattern(pattern)


@pytest.mark.parametrize(
    "piece", ["\u0431\u043e\u0439\u043d\u044f ", "\u70b8\u5f39", "skill ", "kill ", "buy 1 gun"]
)
def test_a_megabyte_of_near_misses_and_matches_is_read_in_time(piece):
    """Linear: some 0.1 s each; where every match was looked up from the beginning, it took minutes."""
    text = piece * (1_000_000 // len(piece.encode()))
    try:
        LEXICON.read(text, ALL)
    except FloodError:
        assert text.count("kill") > MOST_MATCHES or "\u70b8" in text


def test_the_first_match_counts():
    [found] = LEXICON.find("x kill kill pipe bomb", ALL)
    assert (found.start, found.end, found.rule.name) == (2, 6, "words")
    assert not LEXICON.find("x kill", ALL, is_over=False)
    [found] = LEXICON.find("\u70b8\u5f39", ALL, is_over=False)
    assert (found.start, found.end) == (0, 2)
