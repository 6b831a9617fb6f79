"""Triton Inference Server with TensorRT-LLM, behind its OpenAI frontend.

Source of the names: triton-inference-server/tensorrtllm_backend,
all_models/inflight_batcher_llm/tensorrt_llm/1/model.py; of paths and operations:
triton-inference-server/server, python/openai/openai_frontend/frontend/fastapi/routers/.
"""

from engines.exposition import Exposition
from engines.kind import Engine
from engines.load import Load

REQUESTS = b"nv_trt_llm_request_metrics"
KV_BLOCKS = b"nv_trt_llm_kv_cache_block_metrics"
INPUT_TOKENS = b"nv_llm_input_token_len_sum"
OUTPUT_TOKENS = b"nv_llm_output_token_len_sum"
"""Histograms of whole requests; there are no counters."""


def read_load(text: bytes) -> Load:
    """Read the metrics. Raises: UnreadableError."""
    found = Exposition(text, (REQUESTS, KV_BLOCKS, INPUT_TOKENS, OUTPUT_TOKENS))
    found.need(REQUESTS)
    requests = by_label(found, REQUESTS, "request_type")
    blocks = by_label(found, KV_BLOCKS, "kv_cache_block_type")
    running, active = sum(requests.get("scheduled", ())), sum(requests.get("active", ()))
    waiting = requests.get("waiting")
    shares, sizes = blocks.get("fraction", []), blocks.get("tokens_per", [])
    return Load(
        running=int(running),
        # Older backends do not say: active are both, scheduled run.
        waiting=int(sum(waiting) if waiting is not None else max(active - running, 0)),
        kv_usage=min(sum(shares) / len(shares), 1.0) if shares else 0.0,
        block_tokens=int(max(sizes, default=0)),
        blocks=int(sum(blocks.get("max", ()))),
        prompt_tokens=found.sum(INPUT_TOKENS),
        generation_tokens=found.sum(OUTPUT_TOKENS),
    )


def by_label(found: Exposition, name: bytes, label: str) -> dict[str, list[float]]:
    """Sort the values of all models by what a label says they are of."""
    values: dict[str, list[float]] = {}
    for sample in found.samples(name):
        values.setdefault(sample.label(label) or "", []).append(sample.value)
    return values


TRITON = Engine(
    name="triton",
    health_path="/health/ready",
    metrics_path="/metrics",
    read_load=read_load,
    operations=frozenset({"chat", "completions", "embeddings"}),
)
