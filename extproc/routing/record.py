"""A decision record: why one request went where it went. Values only, as they are written down.

No word of the prompt, no name of a person, nothing secret: who may read the state directory may know
how busy engines were.
"""

from collections.abc import Mapping, Sequence
from math import isfinite

import msgspec

from extproc.routing.candidate import Asked, Candidate, Choice, Terms

MOST_CANDIDATES = 64
"""Of a record; the best ones. With 500 it would be a quarter of a megabyte."""


class Weighed(msgspec.Struct, frozen=True, omit_defaults=True):
    """One candidate, as it was known when the choice was made."""

    endpoint: str
    cost: float
    """In the picker's own unit; the smaller the better."""
    terms: Mapping[str, float]
    """What the cost is made of."""
    look_age_s: float | None = None
    """How old the look at it was; None: nobody had looked."""
    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    in_flight: int = 0
    """Requests of this host that had not ended, and of those the ones no look could show yet."""
    unseen: int = 0
    in_flight_tokens: int = 0
    unseen_tokens: int = 0
    prefill_tokens_per_s: float | None = None
    itl_s: float | None = None
    warmth: float = 1.0
    matched_blocks: int = 0
    """How many of the prompt's blocks its cache was thought to hold."""
    condition: str = ""
    """Empty is ready."""
    reasons: tuple[str, ...] = ()
    role: str = ""
    """`prefill` or `decode`; empty does both."""


class LeftOut(msgspec.Struct, frozen=True):
    """An endpoint of the pool that was no candidate, and why."""

    endpoint: str
    condition: str
    reasons: tuple[str, ...] = ()


class DecisionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that the choice was made of."""

    id: str
    """The settle key, which the client knows as `x-headgate-decision-id`."""
    request_id: str
    at_s: float
    """Seconds since the epoch."""
    why: str
    """Why there is a record: `asked` or `sampled`."""
    policy: str
    tenant: str
    operation: str
    model: str
    track: str
    pool: str
    picker: str
    rung: str
    """What the choice could be based on: `predicted`, `in_flight`, `hash` or `any`."""
    chosen: tuple[str, ...]
    """The first, and where retries go."""
    prefiller: str = ""
    """Where the prompt was to be computed, if not at the first."""
    predicted_s: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Expected to be cached at the first."""
    completion_tokens: int = 0
    blocks: int = 0
    """Of the prompt's beginning, each of `block_tokens`."""
    block_tokens: int = 0
    adapter: str = ""
    has_session: bool = False
    queued_ms: int = 0
    """How long it had waited for room in a limit."""
    pick_us: int = 0
    """How long the choice took."""
    candidates: tuple[Weighed, ...] = ()
    """Best first, at most `MOST_CANDIDATES`."""
    candidates_count: int = 0
    left_out: tuple[LeftOut, ...] = ()


class About(msgspec.Struct, frozen=True):
    """What a record says of the request, besides what the picker was asked."""

    request_id: str
    at_s: float
    why: str
    policy: str
    tenant: str
    operation: str
    model: str
    track: str
    pool: str
    picker: str
    queued_ms: int = 0
    pick_us: int = 0


class Seen(msgspec.Struct, frozen=True):
    """What was known of the pool. Candidates change in place, so they are read at once."""

    candidates: Sequence[Candidate]
    terms: Sequence[Terms]
    matched: Mapping[str, int]
    conditions: Mapping[str, tuple[str, Sequence[str]]]
    now_s: float


def weigh(seen: Seen) -> tuple[Weighed, ...]:
    """Join what the picker thinks of each candidate with what it was told."""
    known = {each.endpoint: each for each in seen.candidates}
    best = [each for each in seen.terms if each.endpoint in known][:MOST_CANDIDATES]
    return tuple(weigh_one(each, known[each.endpoint], seen) for each in best)


def weigh_one(terms: Terms, candidate: Candidate, seen: Seen) -> Weighed:
    condition, reasons = seen.conditions.get(candidate.endpoint, ("ready", ()))
    load, age_s = candidate.load, seen.now_s - candidate.seen_s
    return Weighed(
        endpoint=candidate.endpoint,
        cost=terms.cost,
        terms=dict(terms.terms),
        look_age_s=round(age_s, 4) if isfinite(age_s) else None,
        running=load.running,
        waiting=load.waiting,
        kv_usage=round(load.kv_usage, 4),
        in_flight=candidate.in_flight,
        unseen=candidate.unseen,
        in_flight_tokens=candidate.in_flight_tokens,
        unseen_tokens=candidate.unseen_tokens,
        prefill_tokens_per_s=candidate.rates.prefill_tokens_per_s,
        itl_s=candidate.rates.itl_s,
        warmth=round(candidate.warmth, 3),
        matched_blocks=seen.matched.get(candidate.endpoint, 0),
        condition="" if condition == "ready" else condition,
        reasons=tuple(reasons),
        role="" if candidate.role == "both" else candidate.role,
    )


def describe(about: About, asked: Asked, choice: Choice, seen: Seen) -> DecisionRecord:
    """Write it all down, before anybody is told of the choice: that changes the candidates."""
    known = {each.endpoint for each in seen.candidates}
    left_out = [
        LeftOut(endpoint, condition, tuple(reasons))
        for endpoint, (condition, reasons) in seen.conditions.items()
        if endpoint not in known
    ]
    return DecisionRecord(
        **msgspec.structs.asdict(about),
        id=asked.key,
        rung=choice.rung,
        chosen=choice.endpoints,
        prefiller=choice.prefiller,
        predicted_s=choice.predicted_s,
        cached_tokens=choice.cached_tokens,
        prompt_tokens=asked.prompt_tokens,
        completion_tokens=asked.completion_tokens,
        blocks=len(asked.blocks),
        block_tokens=asked.block_tokens,
        adapter=asked.adapter,
        has_session=bool(asked.session),
        candidates=weigh(seen),
        candidates_count=len(seen.candidates),
        left_out=tuple(left_out[:MOST_CANDIDATES]),
    )
