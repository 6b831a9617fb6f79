"""The vocabulary of pickers."""

from extproc.routing.candidate import TRIES, Asked, Candidate, Choice


def test_defaults_know_nothing():
    known = Candidate("10.0.0.1:1")
    assert (known.seen_s, known.warmth, known.role) == (float("-inf"), 1.0, "both")
    assert (Asked().key, Asked().blocks, Asked().prompt_tokens) == ("", (), 0)
    assert (Choice(("a:1",)).rung, Choice(("a:1",)).prefiller) == ("any", "")
    assert TRIES == 4
