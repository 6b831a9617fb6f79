from ledger.balance import add_running, add_up
from ledger.counters import Counters
from ledger.looks import Era, InFlight, Look, Running, Sums
from tests.ledger.accounts import BEGIN_MS, POOL, A, B, entry, scrape

AT = BEGIN_MS + 60_000


def first(endpoint=A, pool=POOL, began=BEGIN_MS - 1, *, follows=True):
    return Look.first(Era(endpoint, pool, began, began, Counters(), 0, follows))


def added(*entries, at=AT, before=None):
    """The look at A after these entries."""
    return add_up({A: before or first()}, {A: scrape(at)}, entries, 99)[A]


def test_whole_answers():
    look = added(entry(1), entry(2, n=3, prompt_tokens=20, completion_tokens=9))
    assert look.sums == Sums(
        requests=2, prompt_tokens=30, completion_tokens=14, more_choices=40,
        pace_tokens=5 + 3, pace_us=200_000, longest_prompt=20,
    )  # fmt: skip
    assert (look.at_ms, look.seq, look.in_flight) == (AT, 99, InFlight())


def test_a_reversal_takes_away_what_was_added():
    cut = {"cut": 1, "n": 2, "attempts": 3}
    unsettled = {"unsettled": 1, "status": None, "latency_us": None, "prompt_tokens": None}
    blind = {"estimated": 1, "prompt_tokens": None, "completion_tokens": None, "status": 0}
    for members in ({}, cut, unsettled, blind, {"status": 503, "prompt_tokens": 0}):
        one = entry(1, **members)
        minus = {
            name: -(getattr(one, name) or 0) or getattr(one, name)
            for name in ("requests", "prompt_tokens", "completion_tokens", "cut", "estimated")
        }
        look = added(one, one._replace(seq=2, **minus))
        assert look.sums == Sums(longest_prompt=look.sums.longest_prompt), members


def test_only_entries_that_a_look_has_not_got_are_added():
    before = added(entry(5))
    look = add_up({A: before}, {A: scrape(AT)}, [entry(99), entry(100)], 100)[A]
    assert look.sums.requests == 2


def test_aborted_and_failed_ones_are_kept_apart():
    look = added(
        entry(1, cut=1, n=2),
        entry(2, status=0, estimated=1, prompt_tokens=None, completion_tokens=None),
        entry(3, status=503, prompt_tokens=0, completion_tokens=0),
    )
    sums = look.sums
    assert (sums.requests, sums.prompt_tokens, sums.completion_tokens) == (3, 10, 5)
    assert (sums.aborted, sums.aborted_us, sums.aborted_tokens) == (3, 300_000, 5)
    assert (sums.aborted_more, sums.aborted_blind) == (10, 1)
    assert (sums.failed, sums.failed_us) == (1, 100_000)
    assert sums.pace_tokens == 0


def test_a_count_of_our_own_says_nothing_of_what_an_engine_did():
    blind = {"status": 0, "estimated": 1, "attempts": 2, "completion_tokens": 0}
    ours = added(entry(1, prompt_tokens=1_000, **blind))
    assert ours.sums == added(entry(1, prompt_tokens=None, **blind)).sums
    assert (ours.sums.prompt_tokens, ours.sums.aborted_blind, ours.sums.retried_blind) == (0, 1, 1)


def test_retries_concern_every_engine_of_the_pool():
    before = {A: first(), B: first(B), "c": first("c", "other")}
    scrapes = {address: scrape(AT) for address in before}
    looks = add_up(before, scrapes, [entry(1, attempts=3, n=2)], 9)
    for address in (A, B):
        sums = looks[address].sums
        assert (sums.retried, sums.retried_us, sums.retried_prompt_tokens) == (4, 400_000, 40)
    assert looks[B].sums.prompt_tokens == 0
    assert looks["c"].sums == Sums()


def test_around_the_beginning_of_an_era():
    began = BEGIN_MS + 1_000
    look = added(
        entry(1, start_ms=BEGIN_MS, latency_us=500_000),  # over before
        entry(2, start_ms=BEGIN_MS, latency_us=2_000_000, n=2),  # under way
        entry(3, start_ms=BEGIN_MS + 1_500),
        before=first(began=began),
    )
    sums = look.sums
    assert (sums.lost_prompt_tokens, sums.lost_completion_tokens) == (10, 5)
    assert (sums.edge_prompt_tokens, sums.edge_completion_tokens, sums.more_choices) == (10, 5, 10)
    assert (sums.requests, sums.prompt_tokens) == (1, 10)


def test_what_ended_before_anybody_looked_is_no_loss():
    old = entry(1, start_ms=BEGIN_MS, latency_us=500_000, cut=1)
    look = added(old, before=first(began=BEGIN_MS + 1_000, follows=False))
    assert (look.sums.lost_prompt_tokens, look.sums.requests) == (0, 0)
    assert look.sums.aborted == 1, "the engine may still have been busy with it"
    look = added(old, before=first(began=BEGIN_MS + 9_000, follows=False))
    assert look.sums == Sums()


def test_around_the_scrape():
    look = added(
        entry(1, start_ms=AT - 5_000, latency_us=3_900_000),  # over for sure
        entry(2, start_ms=AT - 5_000, latency_us=4_500_000),  # just about
        entry(3, start_ms=AT + 500, latency_us=10_000),  # hardly begun
        entry(4, start_ms=AT + 5_000),
    )
    assert look.sums.requests == 4
    assert look.in_flight.recent.requests == 4
    look.in_flight.recent = Sums()
    assert look.in_flight == InFlight(
        requests=2, late_prompt_tokens=20, late_completion_tokens=10,
        next_prompt_tokens=10, next_completion_tokens=5,
    )  # fmt: skip


def test_what_still_runs():
    look = added()
    add_running(
        look,
        scrape(AT),
        [
            Running(AT - 3_000, POOL, A, 2, 100, 1),
            Running(AT - 1_000, POOL, None, 1, None, 0),
            Running(AT - 1_000, POOL, B, 1, None, 1),
            Running(AT + 1_000, POOL, A, 1, None, 1),
        ],
    )
    assert look.in_flight == InFlight(
        requests=2, prompt_tokens=200, blind=1, answers=3, us=2 * 3_005_000 + 1_005_000
    )
