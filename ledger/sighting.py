"""What is seen of one request by those who see it.

A worker sees it leave (journal), Envoy says that it still runs and in the end how it ended (access
log). These arrive late, in any order, some twice, some never. They carry the same key, so that
they can be put together without asking anyone.
"""

from collections.abc import Iterable

import msgspec

MAX_TEXT = 256
"""Characters kept of any text: an `x-request-id` from a client may be as long as its headers."""

MAX_GROUPS_TEXT = 1024
"""Characters kept of a list of groups, in whole names."""

MAX_N = 2**20
"""Answers that one request may ask for, in our books: more is unknown."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the decision said of a request; None is unknown."""

    request_id: str | None = None
    """For correlation only: a client may send its own, and send it twice."""
    trace_id: str | None = None
    operation: str | None = None
    tenant: str | None = None
    project: str | None = None
    user: str | None = None
    groups: str | None = None
    """Sorted, joined by commas."""
    region: str | None = None
    key_id: str | None = None
    model: str | None = None
    track: str | None = None
    version: str | None = None
    pool: str | None = None
    n: int | None = None
    """Answers asked for in one request."""
    price: str | None = None
    """The price in force, as `price.read_price` reads it."""
    policy: str | None = None
    """Content hash of the policy that decided."""

    def filled_from(self, other: "Origin") -> "Origin":
        """Keep what is known here and take the rest from `other`."""
        return Origin(
            self.request_id or other.request_id,
            self.trace_id or other.trace_id,
            self.operation or other.operation,
            self.tenant or other.tenant,
            self.project or other.project,
            self.user or other.user,
            self.groups or other.groups,
            self.region or other.region,
            self.key_id or other.key_id,
            self.model or other.model,
            self.track or other.track,
            self.version or other.version,
            self.pool or other.pool,
            self.n or other.n,
            self.price or other.price,
            self.policy or other.policy,
        )


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the engine said it did; None is what it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """A part of prompt_tokens."""


class Labels(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalog says of the endpoint that served; None is not said.

    The numbers are decimal texts, exact as they were written; `price.own_cost` uses them.
    """

    cluster: str | None = None
    gpu: str | None = None
    """Kind of GPU."""
    gpus: str | None = None
    """GPUs that one endpoint keeps busy."""
    watts: str | None = None
    """Drawn by one GPU at work."""
    usd_per_gpu_hour: str | None = None
    usd_per_kwh: str | None = None
    prefill_tokens_per_s: str | None = None
    decode_tokens_per_s: str | None = None


class Sighting(msgspec.Struct, frozen=True, omit_defaults=True, tag=True):
    """One request as somebody saw it at one moment."""

    key: str
    """The settle key, unique per request."""
    start_ms: int
    """When the request arrived: milliseconds since the epoch."""
    origin: Origin = Origin()
    usage: Usage = Usage()
    status: int | None = None
    """0: the client left before an answer."""
    deny_reason: str | None = None
    flags: frozenset[str] = frozenset()
    """Envoy's response flags, such as DC or UC."""
    details: str = ""
    """Envoy's response code details."""
    endpoint: str | None = None
    """The last one tried."""
    labels: Labels | None = None
    """Of that endpoint."""
    attempts: int = 0
    latency_us: int | None = None
    ttft_us: int | None = None
    counted_tokens: int | None = None
    """The gateway's own count of the prompt, where limits made one."""
    stopped: bool = False
    """The gateway has ended the answer, and stopped the engine."""


def clean(text: str) -> str:
    """Make text fit for every database: PostgreSQL takes no NUL, and indexes no long texts."""
    text = text[:MAX_TEXT]
    return text.replace("\0", "\ufffd") if "\0" in text else text


def join_groups(names: Iterable[str]) -> str | None:
    """Write down a set of groups: sorted, joined by commas, whole names up to a length."""
    joined = ",".join(sorted({clean(name) for name in names if name}))
    if len(joined) > MAX_GROUPS_TEXT:
        joined = joined[: MAX_GROUPS_TEXT + 1].rpartition(",")[0]
    return joined or None


class Departure(Sighting, frozen=True, tag=True):
    """A worker forwarded the request."""


class Renewal(Sighting, frozen=True, tag=True):
    """The request was running when Envoy wrote this."""


class End(Sighting, frozen=True, tag=True):
    """The request is over."""


def latest(first: Departure | Renewal, second: Departure | Renewal) -> Departure | Renewal:
    """Join two sightings of a request that still runs; the result does not depend on their order.

    Envoy knows more than the worker, and later more than before. What only the other one knows
    about the origin is kept.
    """
    low, high = (first, second) if rank(first) <= rank(second) else (second, first)
    origin = high.origin.filled_from(low.origin)
    return high if origin == high.origin else msgspec.structs.replace(high, origin=origin)


def rank(seen: Departure | Renewal) -> tuple[bool, int, int]:
    """Order sightings by how much they know; of two, the higher one is the later one."""
    usage = seen.usage
    tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
    return isinstance(seen, Renewal), tokens, seen.latency_us or 0
