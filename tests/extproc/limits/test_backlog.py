"""What was missed: kept in bounds, tried so often, taken back when its key comes again."""

from extproc.limits.backlog import TRIES, Backlog, Missed
from extproc.limits.base import Spent


def keys(backlog):
    return [missed.settle_key for missed in backlog.calls]


def filled(*missed, most=100):
    backlog = Backlog(lambda: None, most)
    for one in missed:
        backlog.add(one)
    return backlog


def test_above_its_bound_the_oldest_go():
    backlog = filled(*(Missed(f"k{number}") for number in range(5)), most=3)
    assert (keys(backlog), backlog.dropped) == (["k2", "k3", "k4"], 2)


def test_what_was_not_taken_goes_behind_the_others_so_often_and_then_for_good():
    backlog = filled(Missed("bad", spent=Spent(1)), Missed("good"))
    for tries in range(1, TRIES):
        bad = backlog.calls.popleft()
        assert backlog.put_back(bad)
        assert backlog.calls[-1] == Missed("bad", spent=Spent(1), tries=tries)
        backlog.calls.rotate()
    assert not backlog.put_back(backlog.calls.popleft())
    assert (keys(backlog), backlog.dropped) == (["good"], 1)


def test_who_asks_again_takes_back_what_was_to_be_given_back():
    backlog = filled(Missed("a", forget=True), Missed("b", forget=True), Missed("a", (), 30.0))
    backlog.take_back("a")
    assert list(backlog.calls) == [Missed("b", forget=True), Missed("a", (), 30.0)]
    assert backlog.dropped == 0, "nothing of it is lost"


def test_whoever_sends_is_woken():
    woken = []
    Backlog(lambda: woken.append(True)).add(Missed("a"))
    assert woken
