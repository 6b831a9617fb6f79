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
        bad = backlog.take()
        assert backlog.put_back(bad)
        assert backlog.calls[-1] == Missed("bad", spent=Spent(1), tries=tries)
        backlog.calls.rotate()
    assert not backlog.put_back(backlog.take())
    assert (keys(backlog), backlog.dropped) == (["good"], 1)


def all_of(backlog):
    return list(iter(backlog.take, None))


def test_who_asks_again_takes_back_what_was_to_be_given_back():
    backlog = filled(Missed("a", forget=True), Missed("b", forget=True))
    backlog.take_back("a")
    assert all_of(backlog) == [Missed("b", forget=True)]
    assert backlog.dropped == 0, "nothing of it is lost"


def test_who_has_been_let_in_is_not_given_back():
    backlog = filled(Missed("a", forget=True))
    backlog.add(Missed("a", (), 30.0))
    assert all_of(backlog) == [Missed("a", (), 30.0)]


def test_what_is_taken_back_on_its_way_does_not_go_again():
    backlog = filled(Missed("a", forget=True))
    on_its_way = backlog.take()
    backlog.take_back("a")
    assert backlog.put_back(on_its_way)
    assert (all_of(backlog), backlog.dropped) == ([], 0)


def test_what_gives_back_is_tried_again_as_well():
    backlog = filled(Missed("a", forget=True))
    assert backlog.put_back(backlog.take())
    assert all_of(backlog) == [Missed("a", forget=True, tries=1)]


def test_of_what_is_over_nothing_is_remembered():
    backlog = filled(*(Missed(f"k{number}", forget=True) for number in range(9)), most=3)
    for missed in all_of(backlog):
        backlog.done(missed)
    assert not backlog._revocable


def test_whoever_sends_is_woken():
    woken = []
    Backlog(lambda: woken.append(True)).add(Missed("a"))
    assert woken
