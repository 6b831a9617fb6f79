"""Patterns and words of tenants: bounded when they load, linear when they run."""

import time

import pytest

from extproc.safety.expressions import FloodError
from extproc.safety.pii.engine import Said, shipped
from extproc.safety.pii.own import MOST_EXPRESSION, Own, OwnError, check_expression, check_word


@pytest.mark.parametrize("expression", ["EMP-[0-9]{6}", r"(?i)case \d{4}", r"\p{Han}{2,4}先生"])
def test_sound_expressions(expression):
    check_expression(expression)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("(", "no re2 pattern"),
        (r"(a)\1", "no re2 pattern"),
        ("(?=a)b", "no re2 pattern"),
        ("a*", "matches nothing"),
        (r"((\pL{1,100}){1,10}x){1,9}", "large|no re2 pattern"),
        ("x" * (MOST_EXPRESSION + 1), "longer"),
    ],
)
def test_expressions_that_are_refused(expression, said):
    with pytest.raises(OwnError, match=said):
        check_expression(expression)


@pytest.mark.parametrize("word", ["", "  ", "a\nb", "x" * 129])
def test_words_that_are_refused(word):
    with pytest.raises(OwnError):
        check_word(word)
    check_word("猎鹰 计划")


def found(own, *texts):
    findings = shipped().find([Said(text) for text in texts], own)
    return [
        (each.type, text[each.start : each.end])
        for text, some in zip(texts, findings, strict=True)
        for each in some
    ]


def test_values_of_ones_own():
    own = Own([("employee", r"EMP-\d{3}"), ("case", r"case (\w+)")], [("project", "Falcon", False)])
    assert sorted(found(own, "客户EMP-123的case alpha", "falcon、FALCON。Falconry, xFalcon")) == [
        ("case", "alpha"),
        ("employee", "EMP-123"),
        ("project", "FALCON"),
        ("project", "falcon"),
    ]


def test_case_counts_where_it_is_said():
    own = Own([], [("project", "Ann", True), ("client", "王小明", False)])
    assert sorted(found(own, "ann Ann Annual 找王小明谈")) == [
        ("client", "王小明"),
        ("project", "Ann"),
    ]


def test_a_pattern_never_goes_from_one_text_to_the_next():
    own = Own([("all", r"[^,]+")], [])
    assert found(own, "ab", "cd") == [("all", "ab"), ("all", "cd")]


def test_what_kills_backtracking_engines_is_harmless():
    own = Own([("bad", "(?:a+)+b")], [])
    begun = time.process_time()
    assert found(own, "a" * 100_000) == []
    assert time.process_time() - begun < 5


def test_floods_are_refused():
    with pytest.raises(FloodError):
        found(Own([("all", "a")], []), "a" * 200_001)
    with pytest.raises(FloodError):
        found(Own([], [("all", "a", False)]), "a " * 200_001)
