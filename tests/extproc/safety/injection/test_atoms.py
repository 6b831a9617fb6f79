"""What patterns need, and whether hyperscan finds it."""

import random

import pytest

from extproc.safety.injection.atoms import MOST_SPELLED, SpellingError, spell, write_atoms
from extproc.safety.injection.rulebook import shipped_rulebook

WORDS = {"forget": "ignore|set aside", "rules": "rules?", "many": "|".join("abcdefghijklmnop")}
FILLER = "the committee met in the harbour and agreed that nothing was to be painted in winter " * 4


@pytest.mark.parametrize(
    ("pattern", "atoms"),
    [
        ("<forget> .. (x)? <rules>", ['(?:ignore|set(?: ")? aside)', "(?:rules?)"]),
        ("(a|b) c", ['(?:a " c|a c|b " c|b c)']),
        ("(a)? b c (d)?", ['(?:b " c|b c)']),
        ("a (b)? c", ['(?:a " b " c|a " b c|a " c|a b " c|a b c|a c)']),
        ("<many> <many>", [f"(?:{WORDS['many']})"] * 2),
        ("a [0-9]+ b", ["a", "[0-9]+", "b"]),
        ("\u5ffd~(\u6307|\u4ee4~\u8bdd)", ["\u5ffd", "(?:\u6307|\u4ee4[^.]{0,8}\u8bdd)"]),
        ("(a)?", []),
    ],
)
def test_what_must_be_there(pattern, atoms):
    assert write_atoms(pattern, WORDS) == atoms


def test_strings_of_an_expression():
    assert spell("a(?:b|c[de]?)f?") == ["ab", "abf", "ac", "acd", "acdf", "ace", "acef", "acf"]


@pytest.mark.parametrize("expression", ["a+", "(?:a", "a)b", "[^a]", "[a", "(a)", "[ab]" * 8, "a."])
def test_expressions_that_cannot_be_spelled(expression):
    with pytest.raises(SpellingError):
        spell(expression)
    assert MOST_SPELLED < 2**8


def test_hyperscan_finds_what_every_pattern_needs():
    """It has missed some that were written otherwise, without a word."""
    chance = random.Random(7)
    scanner, tried = shipped_rulebook().words, 0
    for index, pattern in enumerate(scanner.patterns):
        try:
            strings = [spell(atom) for atom in pattern.atoms]
        except SpellingError:
            continue
        for _ in range(8):
            cuts = [FILLER[: chance.choice((0, 9, 20, 40, 80, 200))] for _ in strings]
            said = [
                f"{cut} {chance.choice(each)} " for cut, each in zip(cuts, strings, strict=True)
            ]
            text = "".join([*said, FILLER[: chance.randrange(90)]])
            assert index in scanner.candidates(text.encode()), (pattern.expression, text)
            tried += 1
    assert tried > 5 * len(scanner.patterns)
