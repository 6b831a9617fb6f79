from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.journal import read_entry
from ledger.memory import MemoryLedger
from ledger.plan import expire, plan, unknown_keys
from ledger.store import Change
from ledger.witness import read_line
from tests.ledger.lines import START_MS, USAGE, WHO, anonymous, end, entry, periodic

NOW_S = START_MS / 1000 + 1
LEASE_S = 60


def departure(key="s1", **members):
    return read_entry(entry(key, **members))


def seen(line, place="f:0"):
    return read_line(line, place, START_MS)


class Books:
    """A ledger that is fed batches of sightings."""

    def __init__(self):
        self.ledger = MemoryLedger()

    def feed(self, *batch, now_s=NOW_S, leases=False):
        open_ = self.ledger.open_requests()
        booked = self.ledger.rows(unknown_keys(batch, open_))
        planned = plan(batch, open_, {key: entry.row for key, entry in booked.items()}, now_s)
        if leases:
            expire(planned, open_, now_s, LEASE_S)
        replaced = {key: booked[key] for key in planned.rows if key in booked}
        self.ledger.commit(Change(planned.rows.values(), replaced, planned.opened, planned.closed))
        return planned

    @property
    def rows(self):
        return self.ledger.all_rows()

    @property
    def open(self):
        return self.ledger.open_requests()


def test_departure_then_end():
    books = Books()
    books.feed(departure())
    assert books.open["s1"].seen.origin.model == "tiny"
    assert not books.rows
    planned = books.feed(seen(end()))
    assert planned.settled == [books.rows["s1"]]
    assert not books.open


def test_both_in_one_batch_never_touch_the_open_requests():
    planned = Books().feed(departure(), seen(end()))
    assert not planned.opened
    assert not planned.closed


def test_an_end_before_its_departure_is_completed_by_it():
    head_only = {"settle_key": "s1", **WHO}
    books = Books()
    books.feed(seen(end(said=head_only)))
    assert books.rows["s1"].model is None
    planned = books.feed(departure())
    assert books.rows["s1"].model == "tiny"
    assert not planned.settled
    assert not books.open


def test_a_second_end_is_the_same_line_read_again():
    books = Books()
    books.feed(seen(end()))
    planned = books.feed(seen(end()), seen(end(), "copy:0"))
    assert not planned.rows
    assert not planned.settled


def test_requests_without_metadata_are_told_apart_by_their_place():
    books = Books()
    books.feed(seen(anonymous(), "f:0"), seen(anonymous(), "f:400"))
    books.feed(seen(anonymous(), "f:400"))
    assert set(books.rows) == {seen(anonymous(), f"g:{offset}").key for offset in (0, 400)}
    assert len(books.rows) == 2


def test_one_request_id_for_three_requests_gives_three_rows():
    books = Books()
    books.feed(*(seen(end(key, request_id="mine")) for key in ("s1", "s2", "s3")))
    assert len(books.rows) == 3


def test_a_lease_runs_out():
    books = Books()
    books.feed(departure())
    books.feed(now_s=START_MS / 1000 + LEASE_S, leases=True)
    assert books.open
    planned = books.feed(now_s=START_MS / 1000 + LEASE_S + 1, leases=True)
    assert planned.unsettled == [books.rows["s1"]]
    assert books.rows["s1"].unsettled
    assert not books.open


def test_renewals_keep_it_alive_and_leave_their_usage():
    books = Books()
    books.feed(departure())
    for after_s in range(10, 200, 10):
        books.feed(seen(periodic()), now_s=NOW_S + after_s, leases=True)
        assert not books.rows
    books.feed(now_s=NOW_S + 190 + LEASE_S + 1, leases=True)
    assert books.rows["s1"].completion_tokens == USAGE["completion_tokens"]


def test_an_old_departure_does_not_shorten_a_lease():
    books = Books()
    books.feed(seen(periodic()), now_s=NOW_S + 100)
    books.feed(departure(), now_s=NOW_S + 100)
    assert books.open["s1"].leased_at_s == NOW_S + 100


def test_a_lease_from_the_future_starts_now():
    books = Books()
    books.feed(departure(at=NOW_S + 1e6))
    assert books.open["s1"].leased_at_s == NOW_S


def test_a_renewal_without_departure_is_enough_to_be_missed():
    books = Books()
    books.feed(seen(periodic()))
    books.feed(now_s=NOW_S + LEASE_S + 1, leases=True)
    assert books.rows["s1"].tenant == "acme"


def test_a_late_end_replaces_the_unsettled_row_and_keeps_what_only_that_knew():
    books = Books()
    books.feed(departure(project="only the journal"))
    books.feed(now_s=NOW_S + LEASE_S + 1, leases=True)
    who = {name: value for name, value in WHO.items() if name != "project"}
    planned = books.feed(seen(end(said={"settle_key": "s1", **who})))
    row = books.rows["s1"]
    assert planned.settled == [row]
    assert (row.unsettled, row.status, row.project) == (False, 200, "only the journal")


def test_a_late_renewal_improves_the_unsettled_row():
    books = Books()
    books.feed(departure())
    books.feed(now_s=NOW_S + LEASE_S + 1, leases=True)
    books.feed(seen(periodic()), departure())
    row = books.rows["s1"]
    assert (row.unsettled, row.estimated, row.prompt_tokens) == (True, False, 7)
    assert not books.open


KEYS = ("s1", "s2", "s3")
HEAD_ONLY = {"settle_key": "s2", **WHO}
EVERYTHING = [
    departure("s1"),
    seen(periodic("s1", usage={"prompt_tokens": 7, "completion_tokens": 1})),
    seen(periodic("s1", usage={"prompt_tokens": 7, "completion_tokens": 4})),
    seen(end("s1")),
    departure("s2"),
    seen(end("s2", said=HEAD_ONLY, status=0, flags="DC", usage=None)),
    departure("s3"),
    seen(periodic("s3", usage={"prompt_tokens": 7, "completion_tokens": 2})),
    seen(periodic("s3", usage={"prompt_tokens": 7, "completion_tokens": 3})),
    seen(anonymous(), "f:100"),
    seen(anonymous(), "f:200"),
]


def in_order():
    books = Books()
    books.feed(*EVERYTHING)
    books.feed(now_s=NOW_S + 1000, leases=True)
    return books.rows


@settings(deadline=None)
@given(data=st.data())
def test_any_order_duplication_and_splitting_gives_the_same_ledger(data):
    shuffled = data.draw(st.permutations(EVERYTHING))
    copies = data.draw(st.lists(st.sampled_from(EVERYTHING), max_size=8))
    stream = data.draw(st.permutations([*shuffled, *copies]))
    leases_run_out = data.draw(st.sets(st.integers(0, len(stream)), max_size=2))
    books = Books()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        batch, stream = stream[:size], stream[size:]
        late = len(stream) in leases_run_out
        books.feed(*batch, now_s=NOW_S + 1000 * late, leases=late)
        assert not books.open.keys() & books.rows.keys()
    books.feed(now_s=NOW_S + 2000, leases=True)
    assert books.rows == in_order()
    assert not books.open
