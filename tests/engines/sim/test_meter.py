import pytest

from engines.sim.meter import Histogram, Meter, token_buckets


def test_a_bucket_counts_all_that_is_not_larger():
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 3):
        histogram.observe(value)
    histogram.observe(2.5, times=10)
    assert histogram.cumulative() == [("1.0", 2), ("2.5", 13), ("+Inf", 14)]
    assert histogram.buckets() == ((1, 2), (2.5, 13))
    assert (histogram.count, histogram.total) == (14, 31.5)


def test_token_buckets_end_with_the_context():
    assert token_buckets(60) == (1, 2, 5, 10, 20, 50)


def test_the_times_of_one_choice():
    meter = Meter(4096)
    meter.timed((10.0, 11.0, 13.0, 17.0), tokens=5)
    meter.timed((0.0, 0.0, 1.0, 1.0), tokens=1)
    totals = [meter.latency_s, meter.queue_s, meter.prefill_s, meter.decode_s, meter.inference_s]
    assert [histogram.total for histogram in totals] == [8, 1, 3, 4, 7]
    assert (meter.tpot_s.total, meter.tpot_s.count) == (pytest.approx(1.0), 1)
