"""Pages: the period of the first one, and parameters that may differ."""

from datetime import timedelta

import pytest

from sidecars.common.errors import Refusal
from sidecars.ledger.pages import read_page
from sidecars.ledger.parameters import Parameters
from tests.sidecars.ledger.books import ACME, GLOBEX, NOW
from tests.sidecars.ledger.test_answers import asking


def page(query="", who=ACME, now=NOW, **parameters):
    return read_page(asking(query), who, Parameters(**parameters), now)


def test_the_first_page_has_its_own_period():
    first = page(since="1h")
    assert (first.after, first.limit) == (None, 100)
    assert first.period.until_ms - first.period.since_ms == 3_600_000


def test_the_next_page_keeps_it():
    first = page("a=1", since="1h")
    cursor = first.cursor_after((5, "x"))
    second = page(
        f"a=1&cursor={cursor}&limit=7&format=csv",
        now=NOW + timedelta(days=1),
        since="1h",
        cursor=cursor,
        limit=7,
    )
    assert second.after == (5, "x")
    assert second.limit == 7
    assert second.period == first.period


@pytest.mark.parametrize(("query", "who"), [("a=2", ACME), ("a=1&b=1", ACME), ("a=1", GLOBEX)])
def test_another_question_has_other_pages(query, who):
    cursor = page("a=1").cursor_after(())
    with pytest.raises(Refusal):
        page(query, who, cursor=cursor)
