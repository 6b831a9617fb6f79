"""What may go: by region, from the start of a chain, and never what nobody has signed."""

import pytest

from ledger.config import Retention
from ledger.retention import Cutoffs, Plan, cutoffs, last_before, plan
from tests.ledger import books
from tests.ledger.archive import DAY_MS, Archive


@pytest.fixture
def archive(where, tmp_path):
    archive = Archive(where, tmp_path)
    yield archive
    archive.close()


def test_days_are_whole_days_of_utc():
    limits = cutoffs(Retention(30, {"eu": 7}), 100 * DAY_MS + 5)
    assert limits == Cutoffs(70 * DAY_MS, {"eu": 93 * DAY_MS})
    assert limits.latest_ms == 93 * DAY_MS
    assert limits.capped(80 * DAY_MS) == Cutoffs(70 * DAY_MS, {"eu": 80 * DAY_MS})


def test_for_ever_is_the_default():
    assert cutoffs(Retention(), 100 * DAY_MS) == Cutoffs()
    assert cutoffs(Retention(None, {"eu": 7}), 100 * DAY_MS) == Cutoffs(0, {"eu": 93 * DAY_MS})
    assert Cutoffs().latest_ms == 0


def planned(archive, limits):
    with books.reading(archive.where) as connection:
        return plan(connection, limits)


def test_an_empty_ledger_has_nothing_to_give(archive):
    assert planned(archive, Cutoffs(10**15)) == Plan()
    assert planned(archive, Cutoffs()) == Plan()


def test_what_is_old_enough_goes_by_chain(archive):
    begin_ms = archive.now_ms
    archive.book("s1")
    archive.book("s2", tenant="globex")
    archive.book("s3", tenant=None, days=1)
    archive.book("s4", days=1)
    archive.book("s5")
    archive.sign()
    with books.reading(archive.where) as connection:
        assert [last_before(connection, begin_ms + n * DAY_MS) for n in range(4)] == [0, 2, 3, 5]
    assert planned(archive, Cutoffs(begin_ms)) == Plan()
    assert planned(archive, Cutoffs(begin_ms + 1)) == Plan(1, {"acme": 2, "globex": 2})
    assert planned(archive, Cutoffs(archive.now_ms)) == Plan(1, {"acme": 3, "globex": 3, "": 3})


def test_what_is_not_signed_stays(archive):
    archive.book("s1")
    assert planned(archive, Cutoffs(10**15)) == Plan()
    archive.sign()
    archive.book("s2")
    assert planned(archive, Cutoffs(10**15)) == Plan(1, {"acme": 1})


def test_each_region_has_its_time(archive):
    for day in range(6):
        archive.book(f"eu{day}", tenant="bmw", region="eu", days=1)
        archive.book(f"us{day}", tenant="ford", region="us")
        archive.book(f"no{day}", tenant="acme")
    archive.sign()
    limits = cutoffs(Retention(None, {"eu": 2, "us": 4}), archive.now_ms)
    assert planned(archive, limits) == Plan(1, {"bmw": 9, "ford": 4})


def test_a_chain_goes_from_its_start_only(archive):
    archive.book("s1", region="eu")
    archive.book("s2", region="us")
    archive.book("s3", region="eu")
    archive.book("s4", region=None)
    archive.sign()
    archive.now_ms += 10 * DAY_MS

    def until(default, **regions):
        return dict(planned(archive, cutoffs(Retention(default, regions), archive.now_ms)).until)

    assert until(None, eu=1) == {"acme": 1}
    assert until(None, eu=1, us=1) == {"acme": 3}
    assert until(1, eu=1, us=1) == {"acme": 4}
    assert until(1, us=20) == {"acme": 1}
    assert until(1, eu=20) == {}
