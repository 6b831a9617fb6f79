"""Services elsewhere that speak OpenAI's API: OpenAI itself and the many that are compatible with it.

Nothing is known of their load: they have no metrics for us, and no health to probe without a bill.
They refuse members that they do not know, so none of vLLM's extensions is set for them.
Source: OpenAI's API reference.
"""

from engines.kind import Engine
from engines.load import NOTHING, Load


def read_load(text: bytes) -> Load:  # noqa: ARG001 - as all kinds have it
    """Find nothing, in any text."""
    return NOTHING


OPENAI = Engine(
    name="openai",
    health_path="",
    metrics_path="",
    read_load=read_load,
    operations=frozenset({"chat", "completions", "embeddings", "responses"}),
)
