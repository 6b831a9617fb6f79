"""So many at once, and who falls out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.limits.semaphore import FORGETTING_US, SemaphoreRule
from extproc.limits.state import Hold, Look

SECOND = 1_000_000
BEGIN = 1_763_600_000 * SECOND
TWO = SemaphoreRule(2)


def hold(key, at_us=BEGIN, lease_s=30):
    return Hold(key, 1, at_us, at_us + lease_s * SECOND, strict=False)


def enter(semaphore, key, at_us=BEGIN, lease_s=30):
    return TWO.state(semaphore, at_us).take(hold(key, at_us, lease_s))[0]


def test_two_may_be_in():
    empty = TWO.state(None, BEGIN)
    assert empty.look(BEGIN) == Look(2, 0)
    one = enter(None, "a")
    assert one.wait_us(1, BEGIN) == 0
    two = enter(one, "b", lease_s=20)
    assert two.look(BEGIN).remaining == 0
    assert two.wait_us(1, BEGIN) == 20 * SECOND, "as nothing is known, until the first lease ends"


def test_a_place_falls_free_when_its_request_is_settled():
    two = enter(enter(None, "a"), "b")
    for used in (0, 1):
        one, crossed = two.settle(hold("a"), used, BEGIN + SECOND)
        assert crossed == ()
        assert one.look(BEGIN + SECOND).remaining == 1
        assert one.settle(hold("a"), used, BEGIN + SECOND)[0] == one, "once"


def test_a_lease_that_nobody_renews_falls_out():
    one = enter(None, "a")
    assert TWO.state(one, BEGIN + 30 * SECOND - 1).look(BEGIN).remaining == 1
    later = BEGIN + 30 * SECOND
    assert TWO.state(one, later).leases == ()
    assert one.look(later).remaining == 2
    assert one.settle(hold("a"), 1, later)[0].usual_us == 0, "how long it took is not known"


def test_renewed_it_stays():
    one = enter(None, "a").renew("a", BEGIN + 60 * SECOND, BEGIN + 10 * SECOND)
    assert TWO.state(one, BEGIN + 59 * SECOND).look(BEGIN).remaining == 1
    assert one.gone_us(BEGIN) == BEGIN + 60 * SECOND


def test_one_that_fell_out_comes_back_where_there_is_room():
    later = BEGIN + 40 * SECOND
    full = enter(enter(enter(None, "a"), "b", later), "c", later)
    assert full.renew("a", later + SECOND, later) is None
    left, _ = full.settle(hold("b", later), 1, later)
    again = left.renew("a", later + SECOND, later)
    assert [key for _, key in again.leases] == ["a", "c"]


def test_it_learns_how_long_a_place_is_held():
    semaphore = enter(enter(None, "a"), "b")
    semaphore, _ = semaphore.settle(hold("a"), 1, BEGIN + 8 * SECOND)
    assert semaphore.usual_us == 8 * SECOND
    semaphore, _ = semaphore.settle(hold("b"), 1, BEGIN + 16 * SECOND)
    assert semaphore.usual_us == 9 * SECOND
    full = enter(enter(semaphore, "c", BEGIN + 20 * SECOND), "d", BEGIN + 20 * SECOND)
    now_us = BEGIN + 20 * SECOND
    assert full.look(now_us) == Look(0, 9 * SECOND)
    assert full.wait_us(1, now_us) == 4_500_000, "one of two, each held for nine seconds"
    over = SemaphoreRule(1).state(full, now_us)
    assert over.wait_us(1, now_us) == 18 * SECOND, "two have to leave"


def test_what_was_learned_is_forgotten():
    semaphore, _ = enter(None, "a").settle(hold("a"), 1, BEGIN + SECOND)
    long_after = BEGIN + SECOND + FORGETTING_US
    assert semaphore.gone_us(BEGIN) == long_after
    assert TWO.state(semaphore, long_after - 1).usual_at(long_after - 1) == SECOND
    assert TWO.state(semaphore, long_after).usual_at(long_after) == 0
    full = enter(enter(semaphore, "c", long_after), "d", long_after)
    assert full.wait_us(1, long_after) == 30 * SECOND


def test_a_state_that_is_gone_is_not_begun_for_settling():
    assert TWO.anew(BEGIN) is None


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "settle", "renew", "wait"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.integers(0, 40),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STEPS)
def test_never_more_than_two(steps):
    """A book of who is in, by their leases, agrees after each step."""
    semaphore, now_us, book = None, BEGIN, {}
    for what, key, number in steps:
        book = {who: end for who, end in book.items() if end > now_us}
        semaphore = TWO.state(semaphore, now_us)
        until_us = now_us + number * SECOND
        if what == "wait":
            now_us = until_us
        elif what == "enter" and key not in book and semaphore.wait_us(1, now_us) == 0:
            semaphore, _ = semaphore.take(hold(key, now_us, number))
            book[key] = until_us
        elif what == "settle":
            semaphore, _ = semaphore.settle(hold(key), 1, now_us)
            book.pop(key, None)
        elif what == "renew":
            renewed = semaphore.renew(key, until_us, now_us)
            assert (renewed is None) == (key not in book and len(book) >= 2)
            if renewed is not None:
                semaphore, book[key] = renewed, until_us
        book = {who: end for who, end in book.items() if end > now_us}
        assert {who for _, who in semaphore.live(now_us)} == set(book)
        assert len(book) <= 2
