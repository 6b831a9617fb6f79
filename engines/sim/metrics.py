"""vLLM's counters and histograms: names, labels and buckets as vLLM 0.32 shows them.

Plain numbers while requests run; the text is made when somebody scrapes. vLLM's histograms of
things that this engine does not have (speculative decoding, LoRA, images...) are left out.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

FINISHED_REASONS: tuple[str, ...] = ("stop", "length", "abort", "error", "repetition")

_TTFT_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_ITL_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5),
    *(10.0, 20.0, 40.0, 80.0),
)
_LATENCY_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)


def token_buckets(max_model_len: int) -> tuple[float, ...]:
    """1, 2, 5, 10, 20, 50, ... up to the context length."""
    steps = (mantissa * 10.0**power for power in range(12) for mantissa in (1, 2, 5))
    return tuple(step for step in steps if step <= max_model_len)


class Histogram:
    """Counts per bucket; the last bucket is +Inf."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: each one counts all smaller values too."""
        names = (*(str(float(bound)) for bound in self.bounds), "+Inf")
        return list(zip(names, accumulate(self.counts), strict=True))


class Meter:
    """What the engine has done since it started. Called by engine.py only."""

    def __init__(self, max_model_len: int) -> None:
        tokens = token_buckets(max_model_len)
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.generation_tokens = 0
        self.cache_queries = 0
        self.cache_hits = 0
        self.success = dict.fromkeys(FINISHED_REASONS, 0)
        self.ttft_s = Histogram(_TTFT_S)
        self.itl_s = Histogram(_ITL_S)
        self.latency_s = Histogram(_LATENCY_S)
        self.queue_s = Histogram(_LATENCY_S)
        self.prefill_s = Histogram(_LATENCY_S)
        self.request_prompt_tokens = Histogram(tokens)
        self.request_generation_tokens = Histogram(tokens)
        self.prefill_computed_tokens = Histogram(tokens)

    def looked_up(self, prompt_tokens: int, cached_tokens: int) -> None:
        """A prompt was looked up in the prefix cache."""
        self.cache_queries += prompt_tokens
        self.cache_hits += cached_tokens

    def prefilled(self, prompt_tokens: int, cached_tokens: int) -> None:
        """A prompt was computed, as far as it was not cached."""
        self.prompt_tokens += prompt_tokens
        self.cached_tokens += cached_tokens

    def succeeded(
        self, reason: str, *, prompt_tokens: int, computed_tokens: int, generated_tokens: int
    ) -> None:
        """One choice came to its end; its times are observed apart."""
        self.success[reason] += 1
        self.request_prompt_tokens.observe(prompt_tokens)
        self.request_generation_tokens.observe(generated_tokens)
        self.prefill_computed_tokens.observe(computed_tokens)


@dataclass(frozen=True, slots=True)
class Load:
    """What a scrape sees of this moment. `kv_cache_usage` is between 0 and 1."""

    running: int
    waiting: int
    kv_cache_usage: float


class Exposition:
    """The text of /metrics."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, meter: Meter, model: str, cache_config: dict[str, str]) -> None:
        self._meter = meter
        self._started_s = time.time()
        self._labels = {"engine": "0", "model_name": model}
        self._cache_config = {**cache_config, "engine": "0"}

    def text(self, load: Load) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([*self._gauges(load), *self._counters(), *self._histograms()]))
        return generate_latest(registry)

    def _gauges(self, load: Load) -> Iterator[Metric]:
        table = (
            (
                "num_requests_running",
                "Number of requests in model execution batches.",
                load.running,
            ),
            ("num_requests_waiting", "Number of requests waiting to be processed.", load.waiting),
            ("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent.", load.kv_cache_usage),
        )
        for name, text, value in table:
            gauge = GaugeMetricFamily(f"vllm:{name}", text, labels=list(self._labels))
            gauge.add_metric(list(self._labels.values()), value)
            yield gauge
        yield GaugeMetricFamily(
            "process_start_time_seconds", "When this process started.", self._started_s
        )
        config = GaugeMetricFamily(
            "vllm:cache_config_info", "The cache's configuration.", labels=list(self._cache_config)
        )
        config.add_metric(list(self._cache_config.values()), 1)
        yield config

    def _counters(self) -> Iterator[Metric]:
        meter = self._meter
        table = (
            ("prefix_cache_queries", "Prompt tokens looked up in the cache.", meter.cache_queries),
            ("prefix_cache_hits", "Prompt tokens found in the cache.", meter.cache_hits),
            ("num_preemptions", "Preemptions; this engine has none.", 0),
            ("prompt_tokens", "Prompt tokens processed, cached ones too.", meter.prompt_tokens),
            ("prompt_tokens_cached", "Prompt tokens that were cached.", meter.cached_tokens),
            ("generation_tokens", "Tokens generated.", meter.generation_tokens),
        )
        for name, text, value in table:
            counter = CounterMetricFamily(f"vllm:{name}", text, labels=list(self._labels))
            counter.add_metric(list(self._labels.values()), value)
            yield counter
        success = CounterMetricFamily(
            "vllm:request_success",
            "Requests that came to their end.",
            labels=[*self._labels, "finished_reason"],
        )
        for reason, count in meter.success.items():
            success.add_metric([*self._labels.values(), reason], count)
        yield success

    def _histograms(self) -> Iterator[Metric]:
        meter = self._meter
        table = (
            ("time_to_first_token_seconds", "Time to first token.", meter.ttft_s),
            ("inter_token_latency_seconds", "Time between tokens.", meter.itl_s),
            ("e2e_request_latency_seconds", "Time of whole requests.", meter.latency_s),
            ("request_queue_time_seconds", "Time waiting.", meter.queue_s),
            ("request_prefill_time_seconds", "Time in prefill.", meter.prefill_s),
            ("request_prompt_tokens", "Prompt tokens per request.", meter.request_prompt_tokens),
            (
                "request_generation_tokens",
                "Tokens generated per request.",
                meter.request_generation_tokens,
            ),
            (
                "request_prefill_kv_computed_tokens",
                "Prompt tokens per request that were not cached.",
                meter.prefill_computed_tokens,
            ),
        )
        for name, text, histogram in table:
            family = HistogramMetricFamily(f"vllm:{name}", text, labels=list(self._labels))
            family.add_metric(
                list(self._labels.values()), histogram.cumulative(), sum_value=histogram.total
            )
            yield family


class _Families(Collector):
    """Families made for one scrape, in the form that prometheus_client's registry asks for."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
