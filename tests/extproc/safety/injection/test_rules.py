"""Rules as they are written."""

import pytest
import re2

from extproc.safety.injection.rules import (
    GAPS,
    read_shipped,
    split,
    write_expression,
)

WORDS = {"forget": "ignore|set aside", "rules": "rules?"}
SHIPPED = read_shipped()


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (
            "<forget> the <rules>",
            ["ignore the rule", "set aside the rules"],
            ["ignore rules", "ignored the rules"],
        ),
        (
            "<forget> .. <rules>",
            ["ignore rules", "ignore all of the rules"],
            ["ignore one two three four rules", "ignore. rules"],
        ),
        ("a ... z", ["a b c d e f g h i z"], ["a b c d e f g h i j z"]),
        ("say (it)? now", ["say now", "say it now"], ["say that now"]),
        ("say now (please)?", ["say now", "say now please"], ["now"]),
        ("say <rules>", ['say " rules'], ["say, rules"]),
        (
            "\u5ffd\u7565~\u6307\u4ee4",
            ["\u5ffd\u7565\u6240\u6709\u6307\u4ee4"],
            ["\u5ffd\u7565. \u6307\u4ee4"],
        ),
    ],
)
def test_patterns(pattern, yes, no):
    regexp = re2.compile(write_expression(pattern, WORDS))
    assert all(regexp.search(text.encode()) for text in yes)
    assert not any(regexp.search(text.encode()) for text in no)


def test_words_written_letter_by_letter():
    regexp = re2.compile(write_expression("<forget> .. <rules>", WORDS, squeezed=True))
    assert regexp.search(b"ignorealltherules")


def test_unknown_words():
    with pytest.raises(ValueError, match="no words 'nobody'"):
        write_expression("<nobody> here", WORDS)


def test_what_is_shipped():
    ids = [each.id for each in (*SHIPPED.rules, *SHIPPED.signals, *SHIPPED.cues)]
    assert len(set(ids)) == len(ids)
    assert all(
        0 < rule.score < 1 and rule.why and rule.patterns and rule.family for rule in SHIPPED.rules
    )
    assert all(0 < cue.factor < 1 for cue in SHIPPED.cues)
    assert len({rule.family for rule in SHIPPED.rules}) >= 10
    for rule in SHIPPED.rules:
        for pattern in rule.patterns:
            re2.compile(
                pattern if rule.view == "shown" else write_expression(pattern, SHIPPED.words)
            )


def test_split_minds_parentheses():
    assert split("a (b c) .. d") == ["a", "(b c)", "..", "d"]
    assert set(GAPS) == {"..", "..."}
