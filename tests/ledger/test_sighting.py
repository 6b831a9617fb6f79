from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.sighting import Departure, Origin, Renewal, Usage, latest

origins = st.builds(Origin, request_id=st.just("r"), model=st.none() | st.just("m"))
departures = st.builds(Departure, key=st.just("k"), start_ms=st.just(5), origin=origins)
renewals = st.builds(
    Renewal,
    key=st.just("k"),
    start_ms=st.just(3),
    origin=origins,
    usage=st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    latency_us=st.none() | st.integers(0, 9),
)


@settings(deadline=None)
@given(st.lists(st.one_of(departures, renewals), min_size=2, max_size=6), st.randoms())
def test_the_latest_keeps_the_most_tokens_and_whatever_is_known(seen, random):
    def joined(several):
        first, *rest = several
        for other in rest:
            first = latest(first, other)
        return first

    shuffled = random.sample(seen, len(seen))
    one, other = joined(seen), joined(shuffled)
    assert one.usage.prompt_tokens == other.usage.prompt_tokens or (
        _tokens(one) == _tokens(other) == max(map(_tokens, seen))
    )
    assert one.origin == other.origin
    assert type(one) is type(other)
    assert (one.origin.model == "m") == any(s.origin.model for s in seen)


def _tokens(seen):
    return (seen.usage.prompt_tokens or 0) + (seen.usage.completion_tokens or 0)


def test_envoy_outranks_the_worker():
    departure = Departure("k", 5, Origin(project="p"))
    renewal = Renewal("k", 3, Origin(model="m"))
    expected = Renewal("k", 3, Origin(model="m", project="p"))
    assert latest(departure, renewal) == latest(renewal, departure) == expected


def test_what_the_first_knows_is_kept():
    assert Origin(tenant="a").filled_from(Origin(tenant="b", user="u")) == Origin(
        tenant="a", user="u"
    )
