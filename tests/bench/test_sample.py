import msgspec
import pytest

from bench.sample import Sample
from tests.bench.samples import sample


def test_figures_are_for_each_request_of_the_window():
    taken = sample(worker_us=300, envoy_us=250)
    assert taken.requests_per_s == 2
    assert taken.cpu_us("worker") == pytest.approx(300)
    assert taken.cpu_us("envoy") == pytest.approx(250)


def test_percentiles_need_no_order():
    taken = sample(latencies_us=(4000, 1000, 3000, 2000))
    assert [taken.latency_us(share) for share in (0.5, 0.99)] == [2000, 4000]


def test_it_passes_between_processes():
    taken = sample(worker_us=300, errors=1, events=5, reads=4)
    assert msgspec.json.decode(msgspec.json.encode(taken), type=Sample) == taken
