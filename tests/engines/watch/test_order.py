"""The sequence of batches: gaps, replays, restarts."""

from hypothesis import given
from hypothesis import strategies as st

from engines.watch.order import MOST_HELD, Apply, Ask, Clear, Order


def live(number):
    return Apply(b"%d" % number, "live")


def again(number):
    return Apply(b"%d" % number, "replayed")


def begun(*, replays=True):
    order = Order(replays=replays)
    assert order.begin() == ([Clear(), Ask(0)] if replays else [Clear()])
    return order


def publish(order, *numbers):
    return [step for n in numbers for step in order.live(n, b"%d" % n)]


def replay(order, *numbers):
    return [step for n in numbers for step in order.replayed(n, b"%d" % n)]


def test_history_first_then_what_came_meanwhile():
    order = begun()
    assert publish(order, 4, 5, 6) == []
    assert replay(order, 2, 3, 4, 5) == [again(n) for n in (2, 3, 4, 5)]
    assert order.ended() == [live(6)]
    assert publish(order, 7) == [live(7)]


def test_an_engine_that_has_nothing_to_tell_yet():
    order = begun()
    assert order.ended() == []
    assert publish(order, 0, 1) == [live(0), live(1)]


def test_a_gap_is_asked_for():
    order = begun()
    order.ended()
    assert publish(order, 0, 1, 4, 5) == [live(0), live(1), Ask(2)]
    assert replay(order, 2, 3, 4) == [again(2), again(3), again(4)]
    assert order.ended() == [live(5)]


def test_a_gap_that_the_replay_cannot_fill_makes_all_unknown():
    order = begun()
    order.ended()
    publish(order, 0, 1, 9)
    assert replay(order, 6, 7, 8, 9) == [Clear(4), again(6), again(7), again(8), again(9)]
    assert order.ended() == []
    publish(order, 12)
    assert order.ended() == [Clear(2), live(12)], "no answer came"


def test_numbers_that_go_back_are_another_engine():
    order = begun()
    order.ended()
    publish(order, 0, 1, 2)
    assert publish(order, 0) == [Clear(), Ask(0)]
    assert replay(order, 0) == [again(0)]
    assert order.ended() == []
    assert publish(order, 1) == [live(1)]


def test_without_replay_what_is_lost_stays_lost():
    order = begun(replays=False)
    assert publish(order, 7, 8) == [live(7), live(8)]
    assert publish(order, 11) == [Clear(2), live(11)]
    assert publish(order, 3, 4) == [Clear(), live(3), live(4)]


def test_what_waits_for_a_replay_is_bounded():
    order = begun()
    for number in range(MOST_HELD + 5):
        assert order.live(number, b"") == []
    assert len(order.ended()) == MOST_HELD
    assert publish(order, MOST_HELD + 5) == [Ask(MOST_HELD)]


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 20), st.data())
def test_whatever_is_lost_all_is_applied_in_order_or_known_to_be_lost(arrives, kept, data):
    """An engine publishes 0, 1, 2...; some batches do not arrive, and its buffer keeps the last few."""
    order, applied, asked = Order(replays=True), [], []

    def do(steps):
        for step in steps:
            match step:
                case Clear():
                    applied.clear()
                case Ask(start):
                    asked.append(start)
                case Apply(payload, _):
                    applied.append(int(payload))

    def answer(published):
        for start in [*asked]:
            for number in range(max(start, published - kept), published):
                do(order.replayed(number, b"%d" % number))
        asked.clear()
        do(order.ended())

    do(order.begin())
    for number, is_heard in enumerate(arrives):
        if is_heard:
            do(order.live(number, b"%d" % number))
        if asked and data.draw(st.booleans()):
            answer(number + 1)
    do(order.live(len(arrives), b"%d" % len(arrives)))
    answer(len(arrives) + 1)
    assert applied == list(range(applied[0], len(arrives) + 1)), "a gap that nobody noticed"
