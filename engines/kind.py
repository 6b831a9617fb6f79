"""What the gateway has to know about a kind of engine. Values and pure functions: no engine is asked
anything here.

One file for each kind (`vllm.py`, `sglang.py`, ...) holds its value and reads its metrics; `base.py`
lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engines.load import Load

EngineName = Literal[
    "vllm", "sglang", "tgi", "triton", "llamacpp", "ollama", "sim", "openai", "anthropic"
]
"""What a policy calls a kind."""

EVERY_OPERATION = frozenset(
    {"chat", "completions", "embeddings", "responses", "messages", "count_tokens"}
)
"""All that clients can ask an engine for, by the names the gateway has for it."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of engine, as seen from outside.

    `continuous_usage` says whether `stream_options.continuous_usage_stats` is honoured: then every
    event of a stream carries the usage so far, and a stream that is cut can still be charged. All
    kinds honour `stream_options.include_usage`: usage in the last event.
    """

    name: EngineName
    health_path: str
    """Answers 200 once requests can be served."""
    metrics_path: str
    """Empty: it has none, and `read_load` finds nothing in any text."""
    read_load: Callable[[bytes], Load]
    """Read the answer to `metrics_path`. Raises: UnreadableError when it is none."""
    operations: frozenset[str]
    """What it serves, each at its path in OpenAI's or Anthropic's API."""
    continuous_usage: bool = False
    salted: frozenset[str] = frozenset()
    """Operations whose bodies may hold `cache_salt`: prompts share cached blocks only with those of
    the same salt."""
    tokenizes: bool = False
    """`/tokenize` counts texts and whole conversations, in vLLM's words."""
    renders: bool = False
    """`/v1/chat/completions/render` gives token ids without generating."""
    lists_adapters: bool = False
    """`Load.adapters` names the LoRA adapters in use."""
    kv_events: bool = False
    """It can publish what enters and leaves its prefix cache, over ZMQ in vLLM's format."""
    counts_tokens: bool = False
    """It has vLLM's counters of tokens, which the ledger is compared with."""
    metric_names: tuple[bytes, ...] = ()
    """The samples that `read_load` looks for: whoever looks again and again may leave the rest out."""
