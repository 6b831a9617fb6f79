import pytest
from prometheus_client.parser import text_string_to_metric_families

from engines.sim.metrics import Exposition, Histogram, Load, Meter, token_buckets


def scrape(meter: Meter, load: Load = Load(0, 0, 0.0)) -> dict[str, dict[str, float]]:  # noqa: B008
    """Samples by name and by their labels, as text."""
    text = Exposition(meter, 'ti"ny', {"block_size": "32"}).text(load).decode()
    samples: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


LABELS = 'engine=0,model_name=ti"ny'


def test_counters_and_gauges_have_vllms_names_and_labels():
    meter = Meter(4096)
    meter.looked_up(100, 64)
    meter.prefilled(100, 64)
    meter.generation_tokens += 7
    samples = scrape(meter, Load(running=3, waiting=0, kv_cache_usage=0.5))
    for name, value in {
        "vllm:num_requests_running": 3,
        "vllm:num_requests_waiting": 0,
        "vllm:kv_cache_usage_perc": 0.5,
        "vllm:prefix_cache_queries_total": 100,
        "vllm:prefix_cache_hits_total": 64,
        "vllm:prompt_tokens_total": 100,
        "vllm:prompt_tokens_cached_total": 64,
        "vllm:generation_tokens_total": 7,
        "vllm:num_preemptions_total": 0,
    }.items():
        assert samples[name] == {LABELS: value}
    assert samples["vllm:cache_config_info"] == {"block_size=32,engine=0": 1}


def test_every_reason_to_finish_is_there_from_the_start():
    meter = Meter(4096)
    meter.succeeded("stop", prompt_tokens=1, computed_tokens=1, generated_tokens=1)
    assert scrape(meter)["vllm:request_success_total"] == {
        f'engine=0,finished_reason={reason},model_name=ti"ny': count
        for reason, count in {
            "stop": 1,
            "length": 0,
            "abort": 0,
            "error": 0,
            "repetition": 0,
        }.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "time_to_first_token_seconds",
        "inter_token_latency_seconds",
        "e2e_request_latency_seconds",
        "request_queue_time_seconds",
        "request_prefill_time_seconds",
        "request_prompt_tokens",
        "request_generation_tokens",
        "request_prefill_kv_computed_tokens",
    ],
)
def test_histograms(name: str):
    samples = scrape(Meter(4096))
    assert samples[f"vllm:{name}_count"] == {LABELS: 0}
    assert 'engine=0,le=+Inf,model_name=ti"ny' in samples[f"vllm:{name}_bucket"]


def test_a_bucket_counts_all_that_is_not_larger():
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 3):
        histogram.observe(value)
    histogram.observe(2.5, times=10)
    assert histogram.cumulative() == [("1.0", 2), ("2.5", 13), ("+Inf", 14)]
    assert histogram.total == 31.5


def test_token_buckets_end_with_the_context():
    assert token_buckets(60) == (1, 2, 5, 10, 20, 50)
