"""What an engine tells of itself at one look, whatever its kind calls it. Values only.

Adapters (`vllm.py`, `sglang.py`, ...) read it from metrics; what an engine does not tell keeps its
default, and pickers must do without.
"""

import msgspec


class Total(msgspec.Struct, frozen=True):
    """A histogram since the engine started: what was measured, added up, and how often."""

    sum: float = 0.0
    count: float = 0.0


class Adapters(msgspec.Struct, frozen=True):
    """LoRA adapters, by the names that requests call them."""

    most: int = 0
    """How many fit at once; 0 is not told."""
    running: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


class Load(msgspec.Struct, frozen=True):
    """One look at one endpoint; data-parallel engines behind it are added up.

    The first group is now, the others count since the engine started and begin again with it.
    """

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    """Share of the KV cache that running requests hold, 0 to 1."""
    adapters: Adapters = Adapters()

    block_tokens: int = 0
    """Tokens in a block of the KV cache; 0 is not told."""
    blocks: int = 0
    """How many blocks there are; 0 is not told."""

    started_s: float = 0.0
    """When its process started, in its own seconds since the epoch; 0 is not told."""
    preemptions: float = 0.0
    prompt_tokens: float = 0.0
    """Prompt tokens, cached ones included."""
    cached_tokens: float = 0.0
    generation_tokens: float = 0.0
    prefill_s: Total = Total()
    """Per request: from being scheduled to its first token."""
    prefill_tokens: Total = Total()
    """Per request: prompt tokens that were computed, not cached."""
    queue_s: Total = Total()
    itl_s: Total = Total()
    """Between two tokens."""
    ttft_s: Total = Total()
    ttft_buckets: tuple[tuple[float, float], ...] = ()
    """Upper bound in seconds, and how many were at or below it; ascending."""


NOTHING = Load()
"""Before the first look."""
