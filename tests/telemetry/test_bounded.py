import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from telemetry.bounded import MAX_LABEL_SETS, OTHER, RESERVED, Counter, Gauge, Histogram, Metric

COUNTED = Metric("c_total", "things", ("model", "kind"), fixed=("kind",), help="h")
LEVEL = Metric("g", "things", ("pool",), help="h")
TIMED = Metric("h_seconds", "seconds", ("model",), help="h", buckets=(1.0, 2.0))


def samples(registry, name):
    return {
        tuple(sample.labels.values()): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_values_land_under_their_labels():
    registry = CollectorRegistry()
    counter, gauge = Counter(COUNTED, registry), Gauge(LEVEL, registry)
    counter.add("tiny", "prompt", amount=7)
    counter.add("tiny", "prompt")
    counter.add("tiny", "cached")
    gauge.set(3, "a")
    gauge.add("a", amount=-1)
    assert samples(registry, "headgate_c_total") == {("tiny", "prompt"): 8, ("tiny", "cached"): 1}
    assert samples(registry, "headgate_g") == {("a",): 2}


def test_a_metric_without_labels_shows_before_its_first_value():
    registry = CollectorRegistry()
    counter = Counter(Metric("plain_total", "things", help="h"), registry)
    assert samples(registry, "headgate_plain_total") == {(): 0}
    counter.add()
    assert samples(registry, "headgate_plain_total") == {(): 1}


def test_beyond_the_bound_the_fixed_label_is_kept():
    registry = CollectorRegistry()
    counter = Counter(COUNTED, registry)
    for n in range(2 * MAX_LABEL_SETS):
        counter.add(f"m{n}", "prompt" if n % 2 else "cached")
    found = samples(registry, "headgate_c_total")
    assert len(found) == MAX_LABEL_SETS - RESERVED + 2
    assert sum(found.values()) == 2 * MAX_LABEL_SETS
    assert found["other", "prompt"] == found["other", "cached"] == (MAX_LABEL_SETS + RESERVED) / 2


def test_what_came_before_the_bound_goes_on_under_its_name():
    registry = CollectorRegistry()
    histogram = Histogram(TIMED, registry, limit=RESERVED + 2)
    for n in range(10):
        histogram.observe(0.5, f"m{n}")
    histogram.observe(0.5, "m0")
    assert samples(registry, "headgate_h_seconds_count") == {("m0",): 2, ("m1",): 1, (OTHER,): 8}


labels = st.tuples(st.sampled_from("abcdefghijk") | st.just(OTHER), st.sampled_from("xyzuvw"))


@settings(deadline=None)
@given(added=st.lists(labels, max_size=200), limit=st.integers(RESERVED + 1, RESERVED + 20))
def test_the_bound_is_hard_and_the_sum_is_right(added, limit):
    registry = CollectorRegistry()
    counter = Counter(COUNTED, registry, limit)
    for values in added:
        counter.add(*values)
    found = samples(registry, "headgate_c_total")
    assert len(found) <= limit
    assert sum(found.values()) == len(added)


@settings(deadline=None)
@given(kinds=st.lists(st.integers(0, 10_000), max_size=300))
def test_even_a_fixed_label_that_is_not_fixed_cannot_break_the_bound(kinds):
    registry = CollectorRegistry()
    counter = Counter(COUNTED, registry, limit=RESERVED + 3)
    for kind in kinds:
        counter.add("m", str(kind))
    assert len(samples(registry, "headgate_c_total")) <= RESERVED + 3


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_a_wrong_number_of_labels_is_our_bug(values):
    with pytest.raises(ValueError, match="label"):
        Counter(COUNTED, CollectorRegistry()).add(*values)


def test_a_gauge_that_is_forgotten_gives_its_place_to_others():
    registry = CollectorRegistry()
    gauge = Gauge(LEVEL, registry, limit=RESERVED + 2)
    for n in range(10):
        gauge.set(n, f"m{n}")
        gauge.forget(f"m{n}")
        gauge.forget("never seen")
    gauge.set(5, "m3")
    assert samples(registry, "headgate_g") == {("m3",): 5}
