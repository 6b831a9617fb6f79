"""How the endpoints of a pool are chosen. What is left out keeps its default, whose reason stands in
`routing/settings.py`."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from extproc.policy.base import Strict
from extproc.routing.prefixes import MOST_BLOCKS, MOST_OF_POOL
from extproc.routing.settings import DEFAULTS, Algorithm, PickerSettings, Prediction, Weights

Seconds = Annotated[FiniteFloat, Field(gt=0, le=3600)]
Weight = Annotated[FiniteFloat, Field(ge=0, le=1000)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Multiple = Annotated[FiniteFloat, Field(ge=0, le=100)]
Tokens = Annotated[FiniteFloat, Field(ge=1, le=1e9)]
Count = Annotated[int, Field(ge=1, le=100_000_000)]

SessionHeader = Literal["x-session-affinity", "x-claude-code-session-id", "session-id"]
"""What clients of peers send; workers are shown no other headers."""

WEIGHTS, PREDICTION = DEFAULTS.weights, DEFAULTS.prediction


class WeightsPolicy(Strict):
    """Of the scorers of `weighted`."""

    queue: Weight = WEIGHTS.queue  # requests that wait
    kv_cache: Weight = WEIGHTS.kv_cache  # how full the KV cache is
    prefix: Weight = WEIGHTS.prefix  # how much of the prompt is cached
    adapter: Weight = WEIGHTS.adapter  # whether the LoRA adapter is there
    requests: Weight = WEIGHTS.requests  # what we have sent there and has not ended


class RingPolicy(Strict):
    """The hash ring: of `chwbl`, and of all others when nothing better is known."""

    factor: Annotated[FiniteFloat, Field(gt=1, le=100)] = DEFAULTS.ring_factor  # load over the mean
    places: Annotated[int, Field(ge=1, le=4096)] = DEFAULTS.ring_places  # of each endpoint
    key_blocks: Annotated[int, Field(ge=1, le=2048)] = DEFAULTS.key_blocks  # of 256 bytes each


class PrefixesPolicy(Strict):
    """How many blocks of prompts each worker remembers: about 240 bytes for each."""

    endpoint_blocks: Count = MOST_BLOCKS  # where an engine does not tell how many fit
    pool_blocks: Count = MOST_OF_POOL  # all endpoints together


class PredictionPolicy(Strict):
    """What `predicted_ttft` believes before engines have shown better."""

    prefill_tokens_per_s: Tokens = PREDICTION.prefill_tokens_per_s  # when no engine has shown any
    prompt_tokens: Tokens = PREDICTION.prompt_tokens  # of a request that waits
    chunk_tokens: Tokens = PREDICTION.chunk_tokens  # computed in one step
    evidence: Annotated[FiniteFloat, Field(gt=0, le=1e6)] = PREDICTION.evidence  # see settings.py
    kv_usage: Share = PREDICTION.kv_usage  # where the KV cache begins to be full
    drain_s: Seconds = PREDICTION.drain_s  # until a full engine takes the next request
    floor_s: Annotated[FiniteFloat, Field(ge=0, le=60)] = PREDICTION.floor_s  # no reason below it
    tolerance: Share = PREDICTION.tolerance  # of a prediction: no reason either
    ring_credit: Share = PREDICTION.ring_credit  # of what other gateways may have sent to its place
    burden: Share = PREDICTION.burden  # what others' waiting for a prompt weighs
    caution: Multiple = PREDICTION.caution  # what others do unseen weighs, for caches
    adapter_load_s: Seconds = PREDICTION.adapter_load_s  # to load a LoRA adapter
    adapter_wait_s: Seconds = PREDICTION.adapter_wait_s  # for a slot, when all are taken
    session_s: Seconds = PREDICTION.session_s  # what coming back is worth


class PickerPolicy(Strict):
    """Of one pool."""

    algorithm: Algorithm = DEFAULTS.algorithm
    fresh_s: Seconds = DEFAULTS.fresh_s  # looks older than this are not predicted from
    in_flight_s: Seconds = DEFAULTS.in_flight_s  # older: not even our own counts; the ring is
    session: SessionHeader | Literal["user"] | None = None  # who wants to come back to an endpoint
    disaggregated_tokens: Count = DEFAULTS.disaggregated_tokens  # fewer are computed where decoded
    weights: WeightsPolicy | None = None
    ring: RingPolicy | None = None
    prefixes: PrefixesPolicy | None = None
    prediction: PredictionPolicy | None = None

    def settings(self) -> PickerSettings:
        """Compile it."""
        ring = self.ring or RingPolicy()
        return PickerSettings(
            algorithm=self.algorithm,
            fresh_s=self.fresh_s,
            in_flight_s=self.in_flight_s,
            ring_factor=ring.factor,
            ring_places=ring.places,
            key_blocks=ring.key_blocks,
            weights=Weights(**(self.weights or WeightsPolicy()).model_dump()),
            prediction=Prediction(**(self.prediction or PredictionPolicy()).model_dump()),
            disaggregated_tokens=self.disaggregated_tokens,
        )

    def bounds(self) -> tuple[int, int]:
        """Say how many blocks are remembered, of one endpoint and of all."""
        prefixes = self.prefixes or PrefixesPolicy()
        return prefixes.endpoint_blocks, prefixes.pool_blocks
