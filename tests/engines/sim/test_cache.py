from engines.sim.cache import PrefixCache

ABC = ("a", "b", "c")


def test_the_second_time_all_blocks_are_there():
    cache = PrefixCache(10)
    assert cache.take(ABC, None, most=3).cached == 0
    assert cache.take(ABC, None, most=3).cached == 3
    assert len(cache) == 3


def test_no_more_than_most_are_counted():
    cache = PrefixCache(10)
    cache.take(ABC, None, most=3)
    assert cache.take(ABC, None, most=2).cached == 2
    assert cache.take((), None, most=-1).cached == 0


def test_only_the_common_beginning_counts():
    cache = PrefixCache(10)
    cache.take(ABC, None, most=3)
    assert cache.take(("a", "b", "x"), None, most=3).cached == 2
    assert cache.take(("x", "b", "c"), None, most=3).cached == 0


def test_a_salt_sees_only_its_own_blocks():
    cache = PrefixCache(20)
    assert [cache.take(ABC, salt, most=3).cached for salt in ("s", "s", "t", None, "s")] == [
        *(0, 3, 0, 0, 3)
    ]


def test_blocks_that_follow_are_found_by_the_longer_prompt():
    cache = PrefixCache(10)
    found = cache.take(("a",), None, most=1)
    cache.extend(found.last_key, ("b", "c"))
    assert cache.take((*ABC, "d"), None, most=4).cached == 3


def test_the_deepest_blocks_of_the_oldest_prompt_go_first():
    cache = PrefixCache(4)
    cache.take(ABC, None, most=3)
    cache.take(("x", "y"), None, most=2)

    assert len(cache) == 4
    assert cache.take(("x", "y"), None, most=2).cached == 2
    assert cache.take(ABC, None, most=3).cached == 2


def test_what_is_used_again_stays():
    cache = PrefixCache(2)
    cache.take(("a",), None, most=1)
    cache.take(("b",), None, most=1)
    cache.take(("a",), None, most=1)
    cache.take(("c",), None, most=1)
    assert cache.take(("a",), None, most=1).cached == 1
