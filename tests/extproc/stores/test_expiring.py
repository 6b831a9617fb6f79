"""Entries go when their time has come, and memory stays bounded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.stores.expiring import Expiring


def test_kept_until_its_time():
    expiring = Expiring(10)
    expiring.put("a", 1, gone=5, now=0)
    assert expiring.get("a") == 1
    assert expiring.get("b") is None
    expiring.put("b", 2, gone=9, now=5)
    assert (expiring.get("a"), list(expiring)) == (None, ["b"])


def test_what_is_put_in_again_stays():
    expiring = Expiring(10)
    expiring.put("a", 1, gone=5, now=0)
    expiring.put("a", 2, gone=20, now=0)
    expiring.put("b", 3, gone=20, now=10)
    assert expiring.get("a") == 2


def test_dropped():
    expiring = Expiring(10)
    expiring.put("a", 1, gone=5, now=0)
    assert [expiring.drop("a"), expiring.drop("a")] == [True, False]
    assert len(expiring) == 0


def test_the_oldest_make_room():
    expiring = Expiring(3)
    for number in range(10):
        expiring.put(str(number), number, gone=100, now=0)
    assert len(expiring) <= 3
    assert expiring.forgotten == 10 - len(expiring)


def test_what_was_past_its_time_was_not_forgotten():
    expiring = Expiring(3)
    for number in range(10):
        expiring.put(str(number), number, gone=number + 1, now=number)
    assert expiring.forgotten == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 3)), max_size=200))
def test_it_holds_all_that_live_and_not_many_more(steps):
    expiring, alive, now = Expiring(1000), {}, 0
    for key, life, wait in steps:
        now += wait
        expiring.put(str(key), key, now + life, now)
        alive[str(key)] = now + life
        living = {key for key, gone in alive.items() if gone > now}
        assert living <= set(expiring)
    for _ in range(len(expiring) + 1):
        expiring.put("last", 0, now + 100, now + 50)
    assert list(expiring) == ["last"]
