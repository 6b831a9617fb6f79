"""Many expressions at once, from several threads."""

from concurrent.futures import ThreadPoolExecutor

import hyperscan
import pytest

from extproc.safety.expressions import Expressions

ONCE = hyperscan.HS_FLAG_SINGLEMATCH


def scanned(expressions, raw, most=100):
    """What was found, and whether the scan came to its end."""
    found = []

    def note(index, _start, end, _flags, _):
        found.append((index, end))
        return len(found) >= most

    return expressions.scan(raw, note), found


def test_all_that_is_there_is_told_by_where_it_ends():
    words = Expressions([b"ab", b"b+c"], [0, 0])
    assert scanned(words, b"ab abc") == (True, [(0, 2), (0, 5), (1, 6)])
    assert scanned(words, b"nothing") == (True, [])


def test_ids_are_places_unless_given():
    assert scanned(Expressions([b"b", b"a"], [0, 0], [7, 5]), b"ab") == (True, [(5, 1), (7, 2)])


def test_a_scan_that_is_ended_early_says_so():
    assert scanned(Expressions([b"a"], [0]), b"aaa", most=2) == (False, [(0, 1), (0, 2)])


def test_once_is_enough_where_it_is_said():
    assert scanned(Expressions([b"a", b"b"], [ONCE, 0]), b"aabb")[1] == [(0, 1), (1, 3), (1, 4)]


def test_after_one_that_failed_the_next_works():
    words = Expressions([b"a"], [0])

    def fail(*_):
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            words.scan(b"a", fail)
    assert scanned(words, b"a") == (True, [(0, 1)])


def test_threads_share_one():
    words = Expressions([b"a", b"needle"], [0, 0])
    raw = b"a" * 2_000 + b"needle"
    wanted = scanned(words, raw, most=10_000)
    with ThreadPoolExecutor(4) as pool:
        assert set(map(str, pool.map(lambda _: scanned(words, raw, 10_000), range(40)))) == {
            str(wanted)
        }


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(hyperscan.error):
        Expressions([b"("], [0])
