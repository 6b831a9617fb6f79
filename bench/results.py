"""Runs -> rows. Pure: medians over rounds, ratios and differences within rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.runs import MemoryRun, Runs
from bench.sample import Sample
from bench.stats import median, median_added, median_ratio
from bench.variants import BARE, ECHO, FLOOR, HEADGATE

GATEWAY = ("envoy", "worker", "settle")
"""The processes that are the gateway: generator and upstream are not."""


@dataclass(frozen=True, slots=True)
class ClosedRow:
    """One variant at one number of connections: as much as it can take."""

    variant: str
    connections: int
    rounds: int
    requests_per_s: float
    p50_us: float
    p95_us: float
    p99_us: float
    cpu_us: Mapping[str, float]
    """CPU time for each request, by process."""
    total_us: float
    """The sum over the gateway's processes."""
    errors: int


@dataclass(frozen=True, slots=True)
class RatioRow:
    """Headgate's CPU time for each request, over another variant's."""

    over: str
    connections: int
    worker: float
    total: float


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One variant at a fixed rate. `added` is above bare Envoy in the same round."""

    variant: str
    rate: int
    rounds: int
    p50_us: float
    p95_us: float
    p99_us: float
    added_p50_us: float
    added_p95_us: float
    added_p99_us: float
    errors: int


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One variant while answers stream."""

    variant: str
    events: int
    events_per_read: float
    """Near 1, or chunks were joined before they came to the client, and cost less each."""
    envoy_us: float
    """Envoy's CPU time for each event."""
    worker_us: float | None
    """The worker's, above what it needs when idle. None where there is no worker."""


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured."""

    closed: Sequence[ClosedRow]
    ratios: Sequence[RatioRow]
    open: Sequence[OpenRow]
    streams: Sequence[StreamRow]
    messages_per_stream: float | None
    memory: MemoryRun | None


def summarise(runs: Runs) -> Results:
    """Rows of the phases that ran, in the order of the variants."""
    return Results(
        closed=[closed_row(*key, samples) for key, samples in by_point(runs.closed)],
        ratios=ratio_rows(runs.closed),
        open=[
            open_row(*key, samples, runs.open[BARE.name, key[1]])
            for key, samples in by_point(runs.open)
        ],
        streams=[
            stream_row(name, samples, runs.idle) for name, samples in sorted(runs.streams.items())
        ],
        messages_per_stream=median(runs.messages_per_stream) if runs.messages_per_stream else None,
        memory=runs.memory,
    )


def by_point(
    runs: Mapping[tuple[str, int], Sequence[Sample]],
) -> list[tuple[tuple[str, int], Sequence[Sample]]]:
    """By connections or rate first; variants in the order in which they first ran."""
    return sorted(runs.items(), key=lambda item: item[0][1])


def closed_row(variant: str, connections: int, samples: Sequence[Sample]) -> ClosedRow:
    return ClosedRow(
        variant=variant,
        connections=connections,
        rounds=len(samples),
        requests_per_s=median([each.requests_per_s for each in samples]),
        p50_us=median([each.latency_us(0.50) for each in samples]),
        p95_us=median([each.latency_us(0.95) for each in samples]),
        p99_us=median([each.latency_us(0.99) for each in samples]),
        cpu_us={
            process: median([each.cpu_us(process) for each in samples])
            for process in samples[0].cpu_s
        },
        total_us=median([total_us(each) for each in samples]),
        errors=sum(each.errors for each in samples),
    )


def total_us(sample: Sample) -> float:
    return sum(sample.cpu_us(process) for process in GATEWAY if process in sample.cpu_s)


def ratio_rows(runs: Mapping[tuple[str, int], Sequence[Sample]]) -> list[RatioRow]:
    points = sorted(connections for name, connections in runs if name == HEADGATE.name)
    return [
        ratio_row(over.name, point, runs[HEADGATE.name, point], runs[over.name, point])
        for over in (ECHO, FLOOR)
        for point in points
        if (over.name, point) in runs
    ]


def ratio_row(
    over: str, connections: int, headgate: Sequence[Sample], other: Sequence[Sample]
) -> RatioRow:
    def of(samples: Sequence[Sample]) -> list[float]:
        return [each.cpu_us("worker") for each in samples]

    return RatioRow(
        over,
        connections,
        worker=median_ratio(of(headgate), of(other)),
        total=median_ratio([total_us(each) for each in headgate], [total_us(e) for e in other]),
    )


def open_row(variant: str, rate: int, samples: Sequence[Sample], bare: Sequence[Sample]) -> OpenRow:
    def at(share: float) -> list[float]:
        return [each.latency_us(share) for each in samples]

    def added(share: float) -> float:
        return median_added(at(share), [each.latency_us(share) for each in bare])

    return OpenRow(
        variant=variant,
        rate=rate,
        rounds=len(samples),
        p50_us=median(at(0.50)),
        p95_us=median(at(0.95)),
        p99_us=median(at(0.99)),
        added_p50_us=added(0.50),
        added_p95_us=added(0.95),
        added_p99_us=added(0.99),
        errors=sum(each.errors for each in samples),
    )


def stream_row(variant: str, samples: Sequence[Sample], idle: Sequence[Sample]) -> StreamRow:
    """All rounds as one: the worker's time is so little that single rounds are all rounding."""
    events = sum(each.events for each in samples)
    worker_us = None
    if "worker" in samples[0].cpu_s:
        busy_s = sum(each.cpu_s["worker"] for each in samples)
        idle_share = sum(each.cpu_s["worker"] for each in idle) / sum(e.seconds for e in idle)
        expected_s = idle_share * sum(each.seconds for each in samples)
        worker_us = (busy_s - expected_s) * 1e6 / events
    return StreamRow(
        variant=variant,
        events=events,
        events_per_read=events / sum(each.reads for each in samples),
        envoy_us=median([each.cpu_s["envoy"] * 1e6 / each.events for each in samples]),
        worker_us=worker_us,
    )
