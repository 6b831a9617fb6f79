"""llama.cpp's server, started with `--metrics`.

Source of names and operations: ggml-org/llama.cpp, tools/server/README.md and
tools/server/server.cpp.
"""

from engines.exposition import Exposition
from engines.kind import EVERY_OPERATION, Engine
from engines.load import Load, Total

RUNNING = b"llamacpp:requests_processing"
WAITING = b"llamacpp:requests_deferred"
KV_USAGE = b"llamacpp:kv_cache_usage_ratio"
"""Of older versions: newer ones keep one cache for all slots and do not tell."""
PROMPT = b"llamacpp:prompt_tokens_total"
"""Those computed: cached ones are in no metric."""
PROMPT_S = b"llamacpp:prompt_seconds_total"
GENERATION = b"llamacpp:tokens_predicted_total"
GENERATION_S = b"llamacpp:tokens_predicted_seconds_total"

NAMES = (RUNNING, WAITING, KV_USAGE, PROMPT, PROMPT_S, GENERATION, GENERATION_S)


def read_load(text: bytes) -> Load:
    """Read the metrics. Raises: UnreadableError."""
    found = Exposition(text, NAMES)
    found.need(RUNNING, WAITING)
    prompt_tokens, generation_tokens = found.sum(PROMPT), found.sum(GENERATION)
    return Load(
        running=int(found.sum(RUNNING)),
        waiting=int(found.sum(WAITING)),
        kv_usage=found.mean_share(KV_USAGE),
        prompt_tokens=prompt_tokens,
        generation_tokens=generation_tokens,
        # Neither counts requests: only their ratio means something, and it is the rate.
        prefill_s=Total(found.sum(PROMPT_S)),
        prefill_tokens=Total(prompt_tokens),
        itl_s=Total(found.sum(GENERATION_S), generation_tokens),
    )


LLAMACPP = Engine(
    name="llamacpp",
    health_path="/health",
    metrics_path="/metrics",
    read_load=read_load,
    operations=EVERY_OPERATION,
)
