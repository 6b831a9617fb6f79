"""SGLang, started with `--enable-metrics`.

Source of all names: sgl-project/sglang, python/sglang/srt/observability/metrics_collector.py, and of
the stage in req_time_stats.py beside it. Operations: python/sglang/srt/entrypoints/http_server.py.
"""

from engines.exposition import Exposition, expect, histogram, whole
from engines.kind import EVERY_OPERATION, Engine
from engines.load import Adapters, Load, Total

RUNNING = b"sglang:num_running_reqs"
WAITING = b"sglang:num_queue_reqs"
KV_USAGE = b"sglang:token_usage"
KV_TOKENS = b"sglang:max_total_num_tokens"
CONFIG = b"sglang:cache_config_info"
ADAPTER_SLOTS = b"sglang:lora_pool_slots_total"
STARTED = b"process_start_time_seconds"
RETRACTIONS = b"sglang:num_retracted_requests_total"
"""What others call preemptions."""
PROMPT = b"sglang:prompt_tokens_total"
CACHED = b"sglang:cached_tokens_total"
"""One series for each place (`cache_source`)."""
GENERATION = b"sglang:generation_tokens_total"
STAGE_S = b"sglang:per_stage_req_latency_seconds"
PREFILL = "prefill_forward"
"""The stage from being scheduled to the first token, all chunks included."""
REALTIME = b"sglang:realtime_tokens_total"
COMPUTED = "prefill_compute"
"""The `mode` of prompt tokens that were not cached."""
QUEUE_S = b"sglang:queue_time_seconds"
ITL_S = b"sglang:inter_token_latency_seconds"
TTFT_S = b"sglang:time_to_first_token_seconds"

NAMES = (
    *(RUNNING, WAITING, KV_USAGE, KV_TOKENS, CONFIG, ADAPTER_SLOTS, STARTED),
    *(RETRACTIONS, PROMPT, CACHED, GENERATION, REALTIME),
    *(name for each in (STAGE_S, QUEUE_S, ITL_S, TTFT_S) for name in histogram(each)),
    TTFT_S + b"_bucket",
)


def read_load(text: bytes) -> Load:
    """Read the metrics. Raises: UnreadableError."""
    expect(text, b"sglang:")
    found = Exposition(text, NAMES)
    usage = by_replica(found, KV_USAGE)
    slots = by_replica(found, ADAPTER_SLOTS)
    configs = [sample.labels() for sample in found.samples(CONFIG)]
    block_tokens = max((whole(labels.get("page_size")) for labels in configs), default=0)
    tokens = sum(by_replica(found, KV_TOKENS))
    prefill_s = total(found, STAGE_S, stage=PREFILL)
    computed = sum(by_replica(found, REALTIME, mode=COMPUTED))
    return Load(
        running=int(sum(by_replica(found, RUNNING))),
        waiting=int(sum(by_replica(found, WAITING))),
        kv_usage=min(sum(usage) / len(usage), 1.0) if usage else 0.0,
        adapters=Adapters(int(max(slots, default=0))),
        block_tokens=block_tokens,
        blocks=int(tokens) // block_tokens if block_tokens else 0,
        started_s=max((sample.value for sample in found.samples(STARTED)), default=0.0),
        preemptions=sum(by_replica(found, RETRACTIONS)),
        prompt_tokens=found.sum(PROMPT),
        cached_tokens=found.sum(CACHED),
        generation_tokens=found.sum(GENERATION),
        prefill_s=prefill_s,
        prefill_tokens=Total(computed, prefill_s.count),
        queue_s=total(found, QUEUE_S),
        itl_s=found.total(ITL_S),
        ttft_s=found.total(TTFT_S),
        ttft_buckets=found.buckets(TTFT_S),
    )


def by_replica(found: Exposition, name: bytes, **wanted: str) -> list[float]:
    """Take one value for each data-parallel replica, of the series with the `wanted` labels. With
    `--enable-metrics-for-all-schedulers` every GPU of a replica reports the same again."""
    values: dict[str | None, float] = {}
    for sample in found.samples(name):
        labels = sample.labels()
        if all(labels.get(label) == value for label, value in wanted.items()):
            replica = labels.get("dp_rank")
            values[replica] = max(sample.value, values.get(replica, 0.0))
    return list(values.values())


def total(found: Exposition, name: bytes, **wanted: str) -> Total:
    """Read a histogram that every GPU reports."""
    total_name, count_name = histogram(name)
    return Total(
        sum(by_replica(found, total_name, **wanted)), sum(by_replica(found, count_name, **wanted))
    )


SGLANG = Engine(
    name="sglang",
    # `/health_generate` generates a token each time, which a probe each second should not.
    health_path="/health",
    metrics_path="/metrics",
    read_load=read_load,
    operations=EVERY_OPERATION,
    continuous_usage=True,
    # Source: `cache_salt` in python/sglang/srt/entrypoints/openai/protocol.py. Not in messages,
    # which python/sglang/srt/entrypoints/anthropic/ turns into a chat without it.
    salted=frozenset({"chat", "completions", "responses"}),
    kv_events=True,
)
