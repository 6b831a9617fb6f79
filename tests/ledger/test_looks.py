import msgspec
import pytest

from ledger.counters import Counters
from ledger.looks import SLACK_MS, Era, InFlight, Look, Running, Sums, begin_era
from tests.ledger.accounts import BEGIN_MS, POOL, A, B, entry, scrape

AT = BEGIN_MS
BEFORE = Look(
    Era(A, POOL, AT - 1, AT, Counters(), 3),
    AT,
    Counters(100, 50, AT / 1000 - 60),
    7,
    Sums(),
    InFlight(),
)


@pytest.mark.parametrize(
    ("members", "aborted", "failed"),
    [
        ({}, False, False),
        ({"cut": 1}, True, False),
        ({"estimated": 1}, True, False),
        ({"unsettled": 1, "status": None}, True, False),
        ({"status": 0}, True, False),
        ({"status": 503}, False, True),
        ({"status": 404}, False, False),
        ({"requests": -1, "cut": -1}, True, False),
    ],
)
def test_what_became_of_an_entry(members, aborted, failed):
    one = entry(**members)
    assert (one.is_aborted, one.is_failed) == (aborted, failed)


def test_how_long_an_entry_took():
    assert entry(latency_us=2_500_000).end_ms == BEGIN_MS + 2500
    given_up = entry(latency_us=None, booked_ms=BEGIN_MS + 70_000)
    assert given_up.us == 70_000_000
    assert entry(latency_us=None, booked_ms=BEGIN_MS - 5).us == 0


def test_how_long_its_tokens_took():
    assert entry(latency_us=900_000, ttft_us=100_000).generating_us == 800_000
    assert entry(latency_us=900_000, ttft_us=899_000).generating_us == 900_000, "no stream"
    assert entry(latency_us=900_000, ttft_us=None).generating_us == 900_000
    assert entry(latency_us=0, ttft_us=0).generating_us == 1000


def test_sums_add_up_and_take_away():
    one, two = Sums(requests=1, prompt_tokens=10, longest_prompt=9), Sums(2, 20, longest_prompt=7)
    assert one.add(two) == Sums(3, 30, longest_prompt=9)
    assert one.add(two).add(two, -1) == one


def test_looks_survive_the_database():
    assert msgspec.json.decode(msgspec.json.encode(BEFORE), type=Look) == BEFORE


def test_an_endpoint_seen_for_the_first_time_begins_an_era():
    now = scrape(AT, 500, 70)
    assert begin_era(A, POOL, now, None, 12) == Era(
        A, POOL, AT - SLACK_MS, AT + 5 + SLACK_MS, now.counters, 12
    )


@pytest.mark.parametrize(
    ("prompt", "completion", "started_s"),
    [(100, 50, None), (100, 50, AT / 1000 - 60), (101, 50, AT / 1000 - 60.4), (900, 900, None)],
)
def test_counters_that_go_on_begin_none(prompt, completion, started_s):
    assert begin_era(A, POOL, scrape(AT + 9, prompt, completion, started_s), BEFORE, 12) is None


def test_smaller_counters_begin_one_some_time_since_the_last_look():
    era = begin_era(A, POOL, scrape(AT + 20_000, 99, 50), BEFORE, 12)
    assert era == Era(A, POOL, AT, AT + 20_000, Counters(), seq=7, follows=True)


def test_a_new_process_begins_one_however_large_its_counters_are():
    started_s = AT / 1000 + 11
    era = begin_era(A, POOL, scrape(AT + 20_000, 1000, 500, started_s), BEFORE, 12)
    assert (era.after_ms, era.before_ms) == (AT + 10_000, AT + 12_000)
    assert (era.base, era.seq) == (Counters(started_s=started_s), 7)


def test_an_engine_whose_clock_is_wrong_is_not_believed():
    era = begin_era(A, POOL, scrape(AT + 20_000, 1, 1, AT / 1000 + 9_999), BEFORE, 12)
    assert (era.after_ms, era.before_ms) == (AT, AT + 20_000)


@pytest.mark.parametrize(
    ("pool", "endpoint", "attempts", "expected"),
    [
        (POOL, A, 1, True),
        (POOL, None, 0, True),
        (POOL, B, 1, False),
        (POOL, B, 2, True),  # the first attempt may have been here
        ("q", None, 0, False),
        ("q", B, 2, False),
        ("q", A, 1, True),
    ],
)
def test_where_an_open_request_may_be(pool, endpoint, attempts, expected):
    running = Running(AT, pool, endpoint, 1, None, attempts)
    assert running.may_be_on(BEFORE.era) is expected
