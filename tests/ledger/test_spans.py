from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.spans import known_span, split, within
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import ENTRY, QUARTER_MS
from tests.ledger import books

TIMES = st.one_of(
    st.none(), st.integers(-(10**7), 10**13), st.integers(0, 10**6).map(lambda n: n * QUARTER_MS)
)


@given(span=st.tuples(TIMES, TIMES).filter(lambda s: None in s or s[0] < s[1]))
def test_a_span_is_its_pieces(span):
    whole, rest = split(span)
    pieces = sorted(
        [*rest, *([whole] if whole else [])], key=lambda s: -(10**15) if s[0] is None else s[0]
    )
    assert pieces[0][0] == span[0]
    assert pieces[-1][1] == span[1]
    for (_, end), (begin, _) in pairwise(pieces):
        assert end == begin
    if whole:
        assert all(end is None or end % QUARTER_MS == 0 for end in whole)
    for begin, end in rest:
        assert 0 < end - begin < 2 * QUARTER_MS


@pytest.mark.parametrize(("span", "count"), [((None, None), 0), ((1, None), 1), ((0, 2), 2)])
def test_conditions(span, count):
    assert len(within(ENTRY.c.start_ms, span)) == count


def test_what_is_known(where):
    ledger = open_ledger(where)
    with books.reading(where) as connection:
        assert known_span(connection) is None
    ledger.commit(Change(rows=books.rows(3, first=QUARTER_MS - 1)))
    ledger.close()
    with books.reading(where) as connection:
        assert known_span(connection) == (0, 2 * QUARTER_MS)
