"""vLLM, and the built-in engine, which speaks its protocol.

Source of all names: vllm-project/vllm, vllm/v1/metrics/loggers.py (0.32). Counters get `_total` from
prometheus_client. Each metric has a series for each engine of a data-parallel server (label
`engine`): they are added up.
"""

from collections.abc import Sequence

from engines.exposition import Exposition, Sample, histogram, whole
from engines.kind import EVERY_OPERATION, Engine
from engines.load import Adapters, Load

RUNNING = b"vllm:num_requests_running"
WAITING = b"vllm:num_requests_waiting"
KV_USAGE = b"vllm:kv_cache_usage_perc"  # a share, in spite of its name
ADAPTERS = b"vllm:lora_requests_info"
CONFIG = b"vllm:cache_config_info"
STARTED = b"process_start_time_seconds"
"""Of prometheus_client itself; missing with several API servers."""
PREEMPTIONS = b"vllm:num_preemptions_total"
PROMPT = b"vllm:prompt_tokens_total"
CACHED = b"vllm:prompt_tokens_cached_total"
GENERATION = b"vllm:generation_tokens_total"
PREFILL_S = b"vllm:request_prefill_time_seconds"
PREFILL_TOKENS = b"vllm:request_prefill_kv_computed_tokens"
QUEUE_S = b"vllm:request_queue_time_seconds"
ITL_S = b"vllm:inter_token_latency_seconds"
TTFT_S = b"vllm:time_to_first_token_seconds"

NAMES = (
    *(RUNNING, WAITING, KV_USAGE, ADAPTERS, CONFIG, STARTED),
    *(PREEMPTIONS, PROMPT, CACHED, GENERATION),
    *(name for each in (PREFILL_S, PREFILL_TOKENS, QUEUE_S, ITL_S) for name in histogram(each)),
    *(*histogram(TTFT_S), TTFT_S + b"_bucket"),
)

MOST_LETTERS = 4096
"""Of a list of adapters, some hundred of them; the rest is left out. Workers are told the looks at
`hub.AT_ONCE` engines in one message, which must not get too long whatever engines say."""


def read_load(text: bytes) -> Load:
    """Read the metrics. 0.25 ms for one engine's 51 kB, 0.5 for two. Raises: UnreadableError."""
    found = Exposition(text, NAMES)
    found.need(RUNNING, WAITING)
    configs = [sample.labels() for sample in found.samples(CONFIG)]
    return Load(
        running=int(found.sum(RUNNING)),
        waiting=int(found.sum(WAITING)),
        kv_usage=found.mean_share(KV_USAGE),
        adapters=read_adapters(found.samples(ADAPTERS)),
        block_tokens=max((whole(labels.get("block_size")) for labels in configs), default=0),
        blocks=sum(whole(labels.get("num_gpu_blocks")) for labels in configs),
        started_s=max((sample.value for sample in found.samples(STARTED)), default=0.0),
        preemptions=found.sum(PREEMPTIONS),
        prompt_tokens=found.sum(PROMPT),
        cached_tokens=found.sum(CACHED),
        generation_tokens=found.sum(GENERATION),
        prefill_s=found.total(PREFILL_S),
        prefill_tokens=found.total(PREFILL_TOKENS),
        queue_s=found.total(QUEUE_S),
        itl_s=found.total(ITL_S),
        ttft_s=found.total(TTFT_S),
        ttft_buckets=found.buckets(TTFT_S),
    )


def read_adapters(samples: Sequence[Sample]) -> Adapters:
    """Find the newest series: each set of adapters has had one of its own ever since it was in use,
    whose value is the time when it was last."""
    if not samples:
        return Adapters()
    newest = max(samples, key=lambda sample: sample.value).labels()
    return Adapters(
        whole(newest.get("max_lora")),
        names(newest.get("running_lora_adapters")),
        names(newest.get("waiting_lora_adapters")),
    )


def names(listed: str | None) -> tuple[str, ...]:
    whole_ones = f"{listed or ''},"[: MOST_LETTERS + 1].split(",")[:-1]
    return tuple(name for name in whole_ones if name)


VLLM = Engine(
    name="vllm",
    health_path="/health",
    metrics_path="/metrics",
    read_load=read_load,
    operations=EVERY_OPERATION,
    continuous_usage=True,
    # Source: `cache_salt` in vllm/entrypoints/{openai,anthropic,pooling}/**/protocol.py. Older
    # versions leave it unread in embeddings and messages.
    salted=EVERY_OPERATION - {"count_tokens"},
    tokenizes=True,
    renders=True,
    lists_adapters=True,
    kv_events=True,
    counts_tokens=True,
    metric_names=NAMES,
)
