"""The queue of held events."""

import pytest

from extproc.safety.moderation.hold import Held, Hold, weigh


def test_it_counts_what_it_holds():
    hold = Hold()
    assert not hold
    for number in range(3):
        hold.add(Held(b"%d" % number, None, (), number, 0.0, judged=False))
    assert (hold.tokens, hold.first.raw) == (3, b"0")
    assert [hold.take().raw, hold.take().raw, hold.tokens] == [b"0", b"1", 2]
    hold.judge()
    assert hold.first.judged
    hold.drop()
    assert (bool(hold), hold.tokens) == (False, 0)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("a" * 13, 2), ("炸" * 4, 1)])
def test_weigh(text, tokens):
    assert weigh(text) == tokens
