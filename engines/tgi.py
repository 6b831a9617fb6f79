"""Text Generation Inference.

Source of all names: huggingface/text-generation-inference, docs/source/reference/metrics.md;
operations: router/src/server.rs. It counts no tokens but in histograms of whole requests.
"""

from engines.exposition import Exposition, expect, histogram
from engines.kind import Engine
from engines.load import Load

RUNNING = b"tgi_batch_current_size"
WAITING = b"tgi_queue_size"
PROMPT = b"tgi_request_input_length"
GENERATION = b"tgi_request_generated_tokens"
QUEUE_S = b"tgi_request_queue_duration"
ITL_S = b"tgi_request_mean_time_per_token_duration"
"""The mean of a request counts once, however long its answer was."""

NAMES = (
    *(RUNNING, WAITING),
    *(name for each in (PROMPT, GENERATION, QUEUE_S, ITL_S) for name in histogram(each)),
)


def read_load(text: bytes) -> Load:
    """Read the metrics. Raises: UnreadableError."""
    expect(text, b"tgi_")
    found = Exposition(text, NAMES)
    return Load(
        running=int(found.sum(RUNNING)),
        waiting=int(found.sum(WAITING)),
        prompt_tokens=found.total(PROMPT).sum,
        generation_tokens=found.total(GENERATION).sum,
        queue_s=found.total(QUEUE_S),
        itl_s=found.total(ITL_S),
    )


TGI = Engine(
    name="tgi",
    health_path="/health",
    metrics_path="/metrics",
    read_load=read_load,
    operations=frozenset({"chat", "completions"}),
)
