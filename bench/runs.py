"""All runs of one `make bench`, as they were made."""

from dataclasses import dataclass, field

from bench.sample import Sample


@dataclass(slots=True)
class Runs:
    """Every run, in the order of the rounds: the n-th run of one variant was made a moment before or
    after the n-th run of another."""

    closed: dict[tuple[str, int], list[Sample]] = field(
        default_factory=dict[tuple[str, int], list[Sample]]
    )
    """By variant and number of connections."""
    open: dict[tuple[str, int], list[Sample]] = field(
        default_factory=dict[tuple[str, int], list[Sample]]
    )
    """By variant and rate."""
    streams: dict[str, list[Sample]] = field(default_factory=dict[str, list[Sample]])
    idle: list[Sample] = field(default_factory=list[Sample])
    """Headgate with nothing to do: probes and health checks cost a little."""
    messages_per_stream: list[float] = field(default_factory=list[float])
    """Messages between Envoy and Headgate for each streamed answer, both ways."""
    memory: "MemoryRun | None" = None


@dataclass(frozen=True, slots=True)
class MemoryRun:
    """Resident memory of a worker that was fresh at the beginning."""

    warmup_requests: int
    warm_bytes: int
    requests: int
    end_bytes: int
