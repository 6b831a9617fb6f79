"""The evaluation of the firewall."""

from bench.injection import Sample, is_held_out, main, read_attacks, table
from extproc.safety.injection.matching import Matcher
from extproc.safety.injection.rulebook import make_own, shipped_rulebook
from extproc.safety.injection.rules import Rule


def test_halves_are_nearly_equal_and_stable():
    held = [is_held_out(f"text {number}") for number in range(400)]
    assert 150 < sum(held) < 250
    assert held[0] == is_held_out("text 0")


def test_the_table_has_a_row_for_each_family():
    book = make_own([Rule("own.x", 0.9, "", ["bad word"], family="own")])
    samples = [
        Sample("a", "a bad word", "user", False),
        Sample("a", "no word", "user", True),
        Sample("b", "a bad word", "user", True),
    ]
    assert list(table(Matcher(book), "caught", samples))[2:] == [
        "| a | 1.000 | 1 | 0.000 | 1 |",
        "| b | 0.000 | 0 | 1.000 | 1 |",
        "| **all** | 1.000 | 1 | 0.500 | 2 |",
    ]


def test_the_sets_are_read_and_what_is_missed_is_named(capsys):
    assert main(["--missed"]) == 0
    said = capsys.readouterr().out
    held_out = [each.text for each in read_attacks() if each.is_held_out]
    assert not any(repr(text) in said for text in held_out)
    assert shipped_rulebook().signals
