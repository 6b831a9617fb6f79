"""Of findings that overlap, the better is taken, and nothing that was found stays uncovered."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from extproc.safety.pii.finding import LEAST_REST, Finding, resolve


def test_the_higher_rank_is_taken_and_then_the_longer():
    card, phone = Finding("card", 0, 16, 30), Finding("phone", 0, 11, 20)
    assert list(resolve([phone, card])) == [card]
    short, long = Finding("a", 0, 5, 10), Finding("b", 0, 9, 10)
    assert list(resolve([short, long])) == [long]


def test_a_stronger_action_goes_before_the_rank():
    card, key = Finding("card", 0, 16, 30), Finding("key", 0, 16, 10)
    assert list(resolve([card, key], lambda each: each.type == "key")) == [key]


def test_what_is_left_beside_a_better_one_stays_found():
    address, phone = Finding("address", 0, 30, 10), Finding("phone", 10, 21, 20)
    parts = [(each.type, each.start, each.end) for each in resolve([address, phone])]
    assert parts == [("address", 0, 10), ("phone", 10, 21), ("address", 21, 30)]


FINDINGS = st.lists(
    st.builds(
        lambda start, length, rank: Finding("x", start, start + length, rank),
        st.integers(0, 60),
        st.integers(1, 20),
        st.integers(0, 3),
    )
)


@given(FINDINGS)
def test_they_never_overlap_and_cover_all_but_crumbs(findings):
    taken = resolve(findings)
    assert all(a.end <= b.start for a, b in pairwise(taken))
    covered = {at for each in taken for at in range(each.start, each.end)}
    for each in findings:
        missing = [at for at in range(each.start, each.end) if at not in covered]
        runs = "".join("x" if at in missing else " " for at in range(each.start, each.end)).split()
        assert all(len(run) < LEAST_REST for run in runs)
