"""What can be set of pickers, each with its default and the reason for it. `policy/picking.py` fills
it in."""

from typing import Literal

import msgspec

from extproc.routing.ring import FACTOR, PLACES

Algorithm = Literal[
    "predicted_ttft",
    "chwbl",
    "weighted",
    "least_request",
    "peak_ewma",
    "queue_depth",
    "token_estimate",
    "round_robin",
    "random",
    "disaggregated",
]


class Weights(msgspec.Struct, frozen=True):
    """Of scorers, each from 0 to 1. The first three: llm-d's defaults; it gives 1 to all others."""

    queue: float = 2.0
    kv_cache: float = 2.0
    prefix: float = 3.0
    adapter: float = 1.0
    requests: float = 0.0
    """llm-d's `active-request` scorer; not in its default profile."""


class Prediction(msgspec.Struct, frozen=True):
    """Constants of `predicted_ttft`."""

    prefill_tokens_per_s: float = 8_000.0
    """Of an endpoint of which nothing is known, in a pool of which nothing is known: an L4 with 8 B
    parameters does 4 000, an H100 30 000. It only weighs prompts against each other."""
    prompt_tokens: float = 512.0
    """Of a request that waits, before any has ended."""
    chunk_tokens: float = 2_048.0
    """Computed in one step: vLLM's `max_num_batched_tokens` where it serves small GPUs. Running
    requests decode once in every step, which the prompt waits for."""
    evidence: float = 4.0
    """Requests whose word on an endpoint's rate is worth as much as the whole pool's."""
    kv_usage: float = 0.85
    """Where the KV cache begins to be full. At 1 vLLM takes nothing new and preempts."""
    drain_s: float = 0.25
    """Until the next request ends on a full endpoint, before it has shown that."""
    floor_s: float = 0.004
    """Differences below it are no reason: a scheduler's step, a look's age."""
    tolerance: float = 0.15
    """At most this part of a prediction is its error."""
    ring_credit: float = 1.0
    """What is taken for cached at a prompt's place on the ring, times the share of requests that others
    send: with R gateways, (R - 1) / R of what one of them has not sent there have the others."""
    burden: float = 0.1
    """What it weighs that each request running there waits as long as this one's prefill takes; of one
    that waits there, three times as much. Without it a prompt goes where it is answered a moment sooner,
    although everybody there pays for computing what another endpoint has in its cache: caches fill with
    copies, and near saturation the pool recovers by chance only. Found on the tuning traces of `study`."""
    caution: float = 4.0
    """What it weighs beyond that, in prefills, times the share of requests that others send: what they
    have sent since the last look is not known, so queues tell less, and caches more."""
    adapter_load_s: float = 0.3
    """To load a LoRA adapter from memory or a local disk."""
    adapter_wait_s: float = 2.0
    """For a slot, when all of them are taken by others."""
    session_s: float = 0.5
    """What it is worth to come back to the same endpoint when the client asks for that."""


class PickerSettings(msgspec.Struct, frozen=True):
    algorithm: Algorithm = "predicted_ttft"
    fresh_s: float = 1.0
    """Looks older than this (five in a row were missed) are not predicted from."""
    in_flight_s: float = 10.0
    """Nor are our own counts relied on when they are older than this: others send requests too."""
    ring_factor: float = FACTOR
    ring_places: int = PLACES
    key_blocks: int = 1
    """`chwbl`: how many blocks of a prompt are its key. One is 256 bytes; KubeAI takes 100."""
    weights: Weights = Weights()
    prediction: Prediction = Prediction()
    disaggregated_tokens: int = 256
    """Prompts with less to compute are not worth sending their KV cache from one engine to another."""


DEFAULTS = PickerSettings()
