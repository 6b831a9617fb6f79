"""What a picker sees, and what it says. Values and the one Protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, Protocol

import msgspec

from engines.load import NOTHING, Load
from engines.rates import UNKNOWN, Rates
from engines.watch.messages import Role

TRIES = 4
"""Longest list given to Envoy: a first try, and one for each of the three retries that `dataplane`
configures."""

Rung = Literal["predicted", "in_flight", "hash", "any"]
"""What a choice could still be based on, best first: DESIGN section 2.6."""


@dataclass(slots=True)
class Candidate:
    """One endpoint as this worker knows it now. The view keeps it up to date in place, because a
    new one for each pick would cost more than picking; pickers only read it."""

    endpoint: str
    load: Load = NOTHING
    seen_s: float = -inf
    """When `load` was read (monotonic clock)."""
    rates: Rates = UNKNOWN
    in_flight: int = 0
    """Requests that workers of this host have sent there and that have not ended."""
    in_flight_tokens: int = 0
    """Their prompt tokens, less those expected to be cached."""
    unseen: int = 0
    """Of those: picked too late for `load` to show."""
    unseen_tokens: int = 0
    warmth: float = 1.0
    """How much of its share a new or recovered endpoint should get: above 0, at most 1."""
    role: Role = "both"


class Asked(msgspec.Struct, frozen=True):
    """What a picker may know of a request."""

    key: str = ""
    """The settle key: a source of chance that every process agrees on."""
    prompt_tokens: int = 0
    blocks: Sequence[int] = ()
    """Its prefix as `engines.blocks` hashes; empty when there is none to share."""
    block_tokens: int = 0
    """Tokens that one of these stands for."""
    completion_tokens: int = 0
    """Expected; 0 is not known."""
    adapter: str = ""
    """The LoRA adapter it needs, by the name engines list."""
    session: str = ""
    """Who wants to come back to the same endpoint."""


class Choice(msgspec.Struct, frozen=True):
    """Endpoints, best first, at most `TRIES`; at least one."""

    endpoints: tuple[str, ...]
    rung: Rung = "any"
    cached_tokens: int = 0
    """Expected to be cached at the first."""
    predicted_s: float | None = None
    """TTFT at the first, where the picker predicts one."""
    prefiller: str = ""
    """Where the prompt is to be computed, if not there: disaggregated pools only."""


class Terms(msgspec.Struct, frozen=True):
    """Why an endpoint stands where it stands."""

    endpoint: str
    cost: float
    """The smaller the better, in the picker's own unit."""
    terms: Mapping[str, float]


class Picker(Protocol):
    """One way to choose. It belongs to one pool, and may remember."""

    def choose(self, asked: Asked, candidates: Sequence[Candidate], now_s: float) -> Choice:
        """Choose among these, of which there is at least one. `now_s`: monotonic clock."""
        ...

    def explain(
        self, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Sequence[Terms]:
        """Say of each what `choose` would think of it, best first. Changes nothing."""
        ...
