"""The text of /metrics: vLLM's names and labels, as 0.32 shows them.

What this engine does not have (images, speculation, sleep, tool parsers) is told as 0, as vLLM does
where it is not used. Written by hand: a scrape costs 0.5 ms.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from engines.load import Adapters
from engines.sim.meter import Histogram, Meter

__all__ = ["Exposition", "Load", "Meter"]

Labels = Mapping[str, str]
Samples = Iterable[tuple[Labels, float]]

_CACHED_ELSEWHERE = ("host", "p2p", "disk", "external_unspecified")
_TOOL_PARSER: tuple[Labels, ...] = tuple(
    {"mode": mode, "outcome": outcome, "request_type": kind}
    for mode in ("streaming", "non_streaming")
    for outcome in ("tool_call", "no_tool_call")
    for kind in ("chat_completions", "responses", "other")
)


@dataclass(frozen=True, slots=True)
class Load:
    """What a scrape sees of this moment. `kv_cache_usage` is between 0 and 1."""

    running: int
    waiting: int
    kv_cache_usage: float
    deferred: int = 0
    """Of those that wait: not for room, but for a LoRA slot or for KV from a prefill engine."""
    adapters: Adapters | None = None
    """None: the engine serves no adapters, and says nothing of them."""


class Exposition:
    """Writes one process's metrics."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, meter: Meter, model: str, cache_config: dict[str, str]) -> None:
        self._meter = meter
        self._started_s = time.time()
        self._model = {"model_name": model}
        self._labels = {"engine": "0", "model_name": model}
        self._cache_config = {**cache_config, "engine": "0"}

    def text(self, load: Load) -> bytes:
        lines: list[str] = []
        for name, samples in self._gauges(load):
            _write(lines, name, "gauge", ((name, *sample) for sample in samples))
        for name, samples in self._counters():
            name = f"{name}_total"  # noqa: PLW2901  # Prometheus' own ending
            _write(lines, name, "counter", ((name, *sample) for sample in samples))
        for name, histogram in self._histograms():
            _write(lines, name, "histogram", self._parts(name, histogram))
        return "\n".join([*lines, ""]).encode()

    def _one(self, value: float, **more: str) -> Samples:
        return [({**self._labels, **more}, value)]

    def _by(self, label: str, values: Mapping[str, float]) -> Samples:
        return [({**self._labels, label: name}, value) for name, value in values.items()]

    def _gauges(self, load: Load) -> Iterator[tuple[str, Samples]]:
        yield "vllm:num_requests_running", self._one(load.running)
        yield "vllm:num_requests_waiting", self._one(load.waiting)
        reasons = {"capacity": load.waiting - load.deferred, "deferred": load.deferred}
        yield "vllm:num_requests_waiting_by_reason", self._by("reason", reasons)
        states = {"awake": 1.0, "weights_offloaded": 0.0, "discard_all": 0.0}
        yield "vllm:engine_sleep_state", self._by("sleep_state", states)
        yield "vllm:kv_cache_usage_perc", self._one(load.kv_cache_usage)
        yield "vllm:cache_config_info", [(self._cache_config, 1)]
        yield "process_start_time_seconds", [({}, self._started_s)]
        if (adapters := load.adapters) is not None:
            labels = {
                "max_lora": str(adapters.most),
                "waiting_lora_adapters": ",".join(adapters.waiting),
                "running_lora_adapters": ",".join(adapters.running),
            }
            yield "vllm:lora_requests_info", [(labels, time.time())]

    def _counters(self) -> Iterator[tuple[str, Samples]]:
        meter = self._meter
        for name, value in (
            ("estimated_flops_per_gpu", 0),
            ("estimated_read_bytes_per_gpu", 0),
            ("estimated_write_bytes_per_gpu", 0),
            ("prefix_cache_queries", meter.cache_queries),
            ("prefix_cache_hits", meter.cache_hits),
            ("external_prefix_cache_queries", meter.received_tokens),
            ("external_prefix_cache_hits", meter.received_tokens),
            ("mm_cache_queries", 0),
            ("mm_cache_hits", 0),
            ("num_preemptions", meter.preemptions),
            ("prompt_tokens", meter.prompt_tokens),
            ("prompt_tokens_cached", meter.cached_tokens),
            ("generation_tokens", meter.generation_tokens),
        ):
            yield f"vllm:{name}", self._one(value)
        sources = {
            "local_compute": meter.prompt_tokens - meter.cached_tokens - meter.received_tokens,
            "local_cache_hit": meter.cached_tokens,
            "external_kv_transfer": meter.received_tokens,
        }
        yield "vllm:prompt_tokens_by_source", self._by("source", sources)
        cached = {"device": meter.cached_tokens, **dict.fromkeys(_CACHED_ELSEWHERE, 0)}
        yield "vllm:prompt_tokens_cached_by_source", self._by("source", cached)
        yield "vllm:request_success", self._by("finished_reason", meter.success)
        limits = ("max_num_queued_reqs", "max_num_queued_tokens")
        rejections = [({**self._model, "reason": limit}, 0.0) for limit in limits]
        yield "vllm:admission_rejections", rejections
        parsed = [({**self._model, **labels}, 0.0) for labels in _TOOL_PARSER]
        yield "vllm:tool_call_parser_invocations", parsed

    def _histograms(self) -> Iterator[tuple[str, Histogram]]:
        meter = self._meter
        yield "vllm:time_to_first_token_seconds", meter.ttft_s
        yield "vllm:inter_token_latency_seconds", meter.itl_s
        yield "vllm:request_time_per_output_token_seconds", meter.tpot_s
        yield "vllm:e2e_request_latency_seconds", meter.latency_s
        yield "vllm:request_queue_time_seconds", meter.queue_s
        yield "vllm:request_inference_time_seconds", meter.inference_s
        yield "vllm:request_prefill_time_seconds", meter.prefill_s
        yield "vllm:request_decode_time_seconds", meter.decode_s
        yield "vllm:request_prompt_tokens", meter.request_prompt_tokens
        yield "vllm:request_generation_tokens", meter.request_generation_tokens
        yield "vllm:request_max_num_generation_tokens", meter.longest_generation_tokens
        yield "vllm:request_params_n", meter.request_n
        yield "vllm:request_params_max_tokens", meter.request_max_tokens
        yield "vllm:request_num_preemptions", meter.request_preemptions
        yield "vllm:request_prefill_kv_computed_tokens", meter.prefill_computed_tokens
        yield "vllm:iteration_tokens_total", meter.iteration_tokens

    def _parts(self, name: str, histogram: Histogram) -> Iterator[tuple[str, Labels, float]]:
        for bound, count in histogram.cumulative():
            yield f"{name}_bucket", {**self._labels, "le": bound}, count
        yield f"{name}_count", self._labels, histogram.count
        yield f"{name}_sum", self._labels, histogram.total


def _write(
    lines: list[str], name: str, kind: str, samples: Iterable[tuple[str, Labels, float]]
) -> None:
    lines.append(f"# TYPE {name} {kind}")
    for full, labels, value in samples:
        told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{full}{{{told}}} {float(value)}" if told else f"{full} {float(value)}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
