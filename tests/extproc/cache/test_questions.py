"""What is said of questions."""

from extproc.cache.questions import MOST_TRIED, Alike, Room


def test_it_tells_nothing_that_was_asked():
    assert repr(Alike("key", "How do I pay?", 0.9)) == "Alike(0.900)"


def test_several_are_tried():
    """One near miss must not hide the right one."""
    assert MOST_TRIED > 1
    assert Room().most >= Room().most_of_tenant >= Room().most_of_conversation > MOST_TRIED
