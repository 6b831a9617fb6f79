"""The comparison: by hand, and over made-up engines that tell what they do and do not tell."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.balance import add_running, add_up
from ledger.counters import Counters
from ledger.looks import LINGER_MS, Era, InFlight, Look, Running, Sums, begin_era
from ledger.reconcile import GRACE_S, LEAST_LENGTH, LEAST_PACE, Split, compare, share
from ledger.trail import Trail
from tests.ledger.accounts import BEGIN_MS, POOL, A, B, Call, entry, scrape, scrape_of

ERA = Era(A, POOL, BEGIN_MS - 1, BEGIN_MS - 1, Counters(), 0)
FIRST = Look.first(ERA)
AT = BEGIN_MS + 60_000


def found(entries, prompt, completion, running=()):
    """Compare A's counters with these entries, since the beginning."""
    at = scrape(AT, prompt, completion)
    look = add_up({A: FIRST}, {A: at}, entries, 99)[A]
    add_running(look, at, running)
    return compare(FIRST, look)


def test_what_is_equal_needs_no_explanation():
    finding = found([entry(1), entry(2)], 20, 10)
    assert (finding.prompt, finding.completion) == (Split(20, 20), Split(10, 10))
    assert (finding.requests, finding.in_flight) == (2, 0)


def test_a_ledger_that_is_above_drifts():
    finding = found([entry(1, prompt_tokens=1010)], 10, 5)
    assert finding.prompt == Split(10, 1010, drift=1000)
    assert finding.drift_tokens == 1000
    assert finding.unknown_tokens == 0


def test_drift_of_one_kind_is_not_hidden_by_the_other():
    finding = found([entry(1)], 1000, 0)
    assert (finding.prompt.unknown, finding.completion.drift) == (990, 5)


def test_more_choices_are_exact():
    finding = found([entry(1, n=4)], 40, 5)
    assert finding.prompt == Split(40, 10, choices=30)
    assert finding.causes == {"choices": 30, "aborts": 0, "retries": 0, "unknown": 0}


def test_an_engine_that_counts_a_prompt_once_for_all_choices_is_no_drift():
    assert found([entry(1, n=4)], 10, 5).prompt == Split(10, 10)


def test_what_nobody_can_explain():
    finding = found([entry(1)], 10 + 7, 5 + 9)
    assert (finding.prompt.unknown, finding.completion.unknown) == (7, 9)


def test_an_aborted_answer_explains_what_it_had_time_for():
    most = round(LEAST_PACE * (0.1 + GRACE_S)) - 5
    assert found([entry(1, cut=1)], 10, 5 + most).completion.aborts == most
    finding = found([entry(1, cut=1)], 10, 5 + most + 1)
    assert (finding.completion.aborts, finding.completion.unknown) == (most, 1)


def test_the_pace_is_the_engines_own():
    fast = entry(1, completion_tokens=1000, latency_us=1_050_000)  # 1000 tokens in a second
    finding = found([fast, entry(2, cut=1, completion_tokens=0)], 20, 1000 + 5000)
    assert finding.completion.aborts == 5000


def test_a_prompt_that_nobody_counted():
    blind = entry(2, status=0, estimated=1, prompt_tokens=None, completion_tokens=None)
    assert found([blind], LEAST_LENGTH, 0).prompt.aborts == LEAST_LENGTH
    finding = found([entry(1), blind], 10 + 25, 5)
    assert (finding.prompt.aborts, finding.prompt.unknown) == (20, 5), "twice the longest seen"


def test_a_failed_attempt_and_one_before_the_last():
    failed = entry(2, status=503, prompt_tokens=0, completion_tokens=0)
    assert found([entry(1), failed], 10 + 15, 5).prompt.retries == 15
    moved = entry(2, endpoint=B, attempts=2)
    finding = found([entry(1), moved], 10 + 10, 5)
    assert finding.prompt == Split(20, 10, retries=10)


def test_what_is_under_way_is_no_cause_for_alarm():
    running = Running(AT - 5000, POOL, A, 1, None, 1)
    finding = found([entry(1)], 10 + 18, 5 + 300, [running])
    assert (finding.prompt.in_flight, finding.completion.in_flight) == (18, 300)
    assert finding.unknown_tokens == 0


@pytest.mark.parametrize(
    ("amount", "most", "expected"),
    [
        (0, (5, 5, 5), (0, 0, 0)),
        (10, (5, 5), (5, 5)),
        (99, (5, 0, 7), (5, 0, 7)),
        (6, (5, 0, 7), (3, 0, 3)),
        (7, (10, 10, 10), (3, 2, 2)),
        (3, (-5, 4), (0, 3)),
    ],
)
def test_share(amount, most, expected):
    assert share(amount, most) == expected


@given(st.integers(0, 10**6), st.lists(st.integers(-5, 10**6), min_size=1, max_size=4))
def test_share_gives_all_it_can_and_nobody_too_much(amount, most):
    shares = share(amount, tuple(most))
    assert sum(shares) == min(amount, sum(max(0, each) for each in most))
    assert all(0 <= got <= max(0, can) for got, can in zip(shares, most, strict=True))


CALLS = st.lists(
    st.builds(
        Call,
        start=st.integers(0, 40_000),
        prompt=st.integers(10, 20),
        completion=st.integers(2, 400),
        n=st.sampled_from([1, 1, 1, 2, 4]),
        endpoint=st.sampled_from([A, B]),
        leaves=st.none() | st.integers(1, 4000),
        linger=st.integers(0, 500),
        streams=st.booleans(),
    ),
    max_size=25,
)
RETRIED = st.lists(
    st.builds(
        Call,
        start=st.integers(0, 40_000),
        prompt=st.integers(10, 20),
        completion=st.integers(2, 400),
        endpoint=st.just(A),
        failed_on=st.just(B),
    ),
    max_size=5,
)
EVALUATED_MS = 1500
"""How long after its scrape a look is judged; the next scrape comes after that."""
TIMES = st.lists(st.integers(EVALUATED_MS, 9_000), min_size=1, max_size=6).map(accumulate).map(list)
WHOLE = [Call(0, 15, 300), Call(0, 15, 300, endpoint=B)]
"""So that both engines have shown their pace."""


def walk(calls, times, change=lambda entries: entries):
    """Look at both engines at these times, from rows as they come; a finding for each look."""
    done = sorted(calls, key=lambda call: call.end)
    entries = change([call.entry(seq) for seq, call in enumerate(done, 1)])
    trails = {}
    for now in [*times, 80_000]:
        booked = [e for e in entries if e.booked_ms <= BEGIN_MS + now + EVALUATED_MS]
        seq = max((e.seq for e in booked), default=0)
        scrapes = {address: scrape_of(calls, address, now) for address in (A, B)}
        for address in {A, B} - trails.keys():
            before_ms = BEGIN_MS + now - LINGER_MS
            first = max((e.seq for e in booked if e.booked_ms < before_ms), default=0)
            era = begin_era(address, POOL, scrapes[address], None, first)
            trails[address] = Trail(Look.first(era))
        before = {address: trails[address].start(BEGIN_MS + now, seq) for address in (A, B)}
        looks = add_up(before, scrapes, booked, seq)
        seen = {e.seq for e in booked}
        running = [c.running() for s, c in enumerate(done, 1) if s not in seen and c.start <= now]
        for address in (A, B):
            look, trail = looks[address], trails[address]
            add_running(look, scrapes[address], running)
            yield compare(Look.first(look.era), look)
            yield compare(trail.last, look)
            trail.add(look)


@given(CALLS, RETRIED, TIMES)
def test_whatever_is_under_way_nothing_is_unexplained_and_nothing_drifts(calls, retried, times):
    """Looks at any moment, in the middle of anything, and between any two of them."""
    for finding in walk([*WHOLE, *calls, *retried], times):
        assert finding.drift_tokens == 0, finding
        assert finding.unknown_tokens == 0, finding


@given(CALLS, TIMES)
def test_rows_that_are_missing_show(calls, times):
    secret = Call(start=50_000, prompt=900_000, completion=2)
    *_, whole, _, _, _ = walk([*WHOLE, *calls, secret], [1_000, *times], lambda rows: rows[:-1])
    assert whole.endpoint == A
    assert whole.prompt.unknown > 400_000


@given(CALLS, TIMES)
def test_rows_that_are_too_much_show(calls, times):
    def tamper(rows):
        return [*rows[:-1], rows[-1]._replace(prompt_tokens=900_000)]

    last = Call(start=50_000, prompt=10, completion=2)
    *_, whole, _, _, _ = walk([*WHOLE, *calls, last], [1_000, *times], tamper)
    assert whole.prompt.drift >= 900_000 - 20 * 5 * 30


def test_between_two_looks_what_was_counted_before_the_first_is_not_asked_for_twice():
    long = Call(start=0, prompt=1000, completion=500)
    for finding in walk([*WHOLE, long], [2_000, 3_000, 4_500]):
        assert (finding.drift_tokens, finding.unknown_tokens) == (0, 0)


def test_a_look_that_was_never_followed_by_anything():
    assert compare(FIRST, FIRST).engine_tokens == 0
    assert Look.first(ERA).in_flight == InFlight()
    assert Look.first(ERA).sums == Sums()
