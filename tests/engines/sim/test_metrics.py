from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engines.load import Adapters
from engines.sim.meter import Meter
from engines.sim.metrics import Exposition, Load

RECORDED = Path(__file__).parents[2] / "fixtures" / "vllm" / "metrics.body"
LABELS = 'engine=0,model_name=ti"ny'
NOBODY = Load(0, 0, 0.0)


def samples_of(text: str) -> dict[str, dict[str, float]]:
    """Samples by name and by their labels, as text."""
    samples: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def scrape(meter: Meter, load: Load = NOBODY, model: str = 'ti"ny') -> dict[str, dict[str, float]]:
    text = Exposition(meter, model, {"block_size": "32"}).text(load)
    return samples_of(text.decode())


def test_all_that_vllm_tells_is_told_with_the_same_labels_and_buckets():
    """But for when each counter was made, and for the settings of its cache, which are its own."""

    def told(samples: dict[str, dict[str, float]]) -> dict[str, set[str]]:
        return {
            name: set(labels)
            for name, labels in samples.items()
            if name.startswith("vllm:") and not name.endswith(("_created", "cache_config_info"))
        }

    ours, vllms = told(scrape(Meter(4096), model="tiny")), told(samples_of(RECORDED.read_text()))
    assert ours == vllms


def test_counters_and_gauges():
    meter = Meter(4096)
    meter.looked_up(100, 64)
    meter.prefilled(100, 64)
    meter.generation_tokens += 7
    meter.preemptions += 2
    samples = scrape(meter, Load(running=3, waiting=2, kv_cache_usage=0.5, deferred=1))
    for name, value in {
        "vllm:num_requests_running": 3,
        "vllm:num_requests_waiting": 2,
        "vllm:kv_cache_usage_perc": 0.5,
        "vllm:prefix_cache_queries_total": 100,
        "vllm:prefix_cache_hits_total": 64,
        "vllm:prompt_tokens_total": 100,
        "vllm:prompt_tokens_cached_total": 64,
        "vllm:generation_tokens_total": 7,
        "vllm:num_preemptions_total": 2,
    }.items():
        assert samples[name] == {LABELS: value}
    assert samples["vllm:cache_config_info"] == {"block_size=32,engine=0": 1}
    assert samples["vllm:num_requests_waiting_by_reason"] == {
        f"{LABELS},reason=capacity": 1,
        f"{LABELS},reason=deferred": 1,
    }
    assert "vllm:lora_requests_info" not in samples


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


def test_a_histogram():
    meter = Meter(4096)
    meter.ttft_s.observe(0.3, 2)
    samples = scrape(meter)
    name = "vllm:time_to_first_token_seconds"
    assert samples[f"{name}_count"] == {LABELS: 2}
    assert samples[f"{name}_sum"] == {LABELS: pytest.approx(0.6)}
    buckets = samples[f"{name}_bucket"]
    assert buckets['engine=0,le=0.25,model_name=ti"ny'] == 0
    assert buckets['engine=0,le=0.5,model_name=ti"ny'] == 2
    assert buckets['engine=0,le=+Inf,model_name=ti"ny'] == 2


def test_adapters_are_told_as_lists_with_the_time():
    adapters = Adapters(4, running=("red", "blue"), waiting=("green",))
    told = scrape(Meter(4096), Load(1, 1, 0.0, adapters=adapters))["vllm:lora_requests_info"]
    [(labels, now_s)] = told.items()
    assert labels == ("max_lora=4,running_lora_adapters=red,blue,waiting_lora_adapters=green")
    assert now_s > 1.7e9
