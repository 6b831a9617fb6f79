"""Whatever goes on as a value is held from its first letter on."""

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.pii.begun import Openings, begun_pattern
from extproc.safety.pii.engine import Said, shipped
from extproc.safety.pii.patterns import LOOKALIKE
from tests.extproc.safety.pii.corpus import positives

ALL = Openings({"all"})
EXPRESSIONS = (
    "abc",
    "ab|c|",
    "a{2}b{1,3}c{0,2}d{0,1}e{3,}",
    "a?b*c+d{1}",
    "(?:ab|(c)d){2,3}e",
    "(?i)a(?:bc)+|(?i:D)e",
    r"[^\]a-c]x[]y]\.\x{4e2d}\x41?",
    r"(?:a+?b??)*c",
    r"\ba\b$",
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@given(st.data())
def test_every_beginning_matches(expression, data):
    written = expression.replace(r"\x{4e2d}", "中")
    text = data.draw(st.from_regex(f"(?:{written})".replace("(?:(?i)", "(?i:"), fullmatch=True))
    end = data.draw(st.integers(0, len(text)))
    assert re2.fullmatch(begun_pattern(expression), text[:end])


@pytest.mark.parametrize(
    ("text", "expression"), [("b", "abc"), ("ac", "abc"), ("cc", "ab|c"), ("ab1", "(?:ab)+")]
)
def test_what_is_no_beginning_does_not(text, expression):
    assert not re2.fullmatch(begun_pattern(expression), text)


@pytest.mark.parametrize("expression", ["a(?P<n>b)", "a)", "a(?i)b", "(a", "*a", "[a", "(?=a)"])
def test_what_it_cannot_read_is_told(expression):
    with pytest.raises(ValueError, match=r"cannot be read|out of place|open"):
        begun_pattern(expression)


@pytest.mark.parametrize(
    ("types", "text", "held"),
    [
        ({"email"}, "I have looked. Write to bob", " bob"),
        ({"email"}, "I have looked, and found: ", " "),
        ({"email"}, "bob [at", "bob [at"),
        ({"email"}, "请写信给bob@exa", "给bob@exa"),
        ({"email"}, "请写信给王先生\uff0c", "\uff0c"),
        ({"bank_card"}, "on 4111 1111 1", " 4111 1111 1"),
        ({"bank_card"}, "Write to bob", ""),
        ({"phone"}, "\uff0b\uff18\uff16 138", "\uff0b\uff18\uff16 138"),
        ({"private_key"}, "here: -----BEGIN RSA", "-----BEGIN RSA"),
        ({"email"}, "", ""),
    ],
)
def test_what_is_held(types, text, held):
    assert text[Openings(types).find(text) :] == held


def test_no_value_of_the_corpus_goes_out_in_part():
    """Cut anywhere in a value, up to what is held at most."""
    for sample in list(positives())[::5]:
        text = f"\n{sample.text}"
        (found,) = shipped().find([Said(text)])
        for each in found:
            if each.type == LOOKALIKE:
                continue
            last = min(each.end, each.start + 64)
            for cut in {each.start + 1, (each.start + last) // 2, last - 1}:
                start = max(0, cut - 64)
                assert start + ALL.find(text[start:cut]) <= each.start, (text, cut)
