"""What we want to be true of the rows. A goal that is missed is told and fails nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results
from bench.variants import ECHO, HEADGATE

RATIO_MOST = 1.5
RATIO_CONNECTIONS = 16
ADDED_P50_MOST_US = 1500
CHUNK_MOST_US = 5.0
"""Times are rounded to 10 ms; over the events of all rounds that is some microseconds each. A worker
that saw chunks would need about 100 us for each (docs/benchmarks.md)."""
MESSAGES_PER_STREAM = 4
"""Headers and body of the request, and the reply to each: none for the answer."""
MEMORY_MOST_BYTES = 150 * 1024 * 1024
GROWTH_MOST = 0.05


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the verdict."""

    what: str
    wanted: str
    measured: str
    met: bool


def judge(results: Results) -> list[Goal]:
    """The goals about what was measured; phases that did not run are left out."""
    return [*ratio_goals(results), *open_goals(results), *stream_goals(results), *memory(results)]


def ratio_goals(results: Results) -> Iterator[Goal]:
    for row in results.ratios:
        if row.over == ECHO.name and row.connections == RATIO_CONNECTIONS:
            for what, ratio in (("worker", row.worker), ("worker + Envoy", row.total)):
                yield Goal(
                    f"CPU per request, {what}, {row.connections} connections",
                    f"at most {RATIO_MOST} x echo",
                    f"{ratio:.2f} x",
                    ratio <= RATIO_MOST,
                )


def open_goals(results: Results) -> Iterator[Goal]:
    for row in results.open:
        if row.variant == HEADGATE.name:
            yield Goal(
                f"added p50 at {row.rate} req/s",
                f"below {ADDED_P50_MOST_US / 1000} ms",
                f"{row.added_p50_us / 1000:.2f} ms",
                row.added_p50_us < ADDED_P50_MOST_US,
            )


def stream_goals(results: Results) -> Iterator[Goal]:
    for row in results.streams:
        if row.worker_us is not None:
            yield Goal(
                "Python CPU per answer chunk",
                f"none (below {CHUNK_MOST_US:.0f} us, the resolution)",
                f"{row.worker_us:.1f} us",
                row.worker_us < CHUNK_MOST_US,
            )
    if results.messages_per_stream is not None:
        yield Goal(
            "ext_proc messages per streamed answer",
            f"{MESSAGES_PER_STREAM}",
            f"{results.messages_per_stream:g}",
            results.messages_per_stream == MESSAGES_PER_STREAM,
        )


def memory(results: Results) -> Iterator[Goal]:
    run = results.memory
    if run is None:
        return
    growth = run.end_bytes / run.warm_bytes - 1
    yield Goal(
        "worker memory",
        f"below {MEMORY_MOST_BYTES >> 20} MiB",
        f"{run.end_bytes / 2**20:.1f} MiB",
        run.end_bytes < MEMORY_MOST_BYTES,
    )
    yield Goal(
        f"its growth over {run.requests} requests",
        f"at most {GROWTH_MOST:.0%}",
        f"{growth:+.1%}",
        growth <= GROWTH_MOST,
    )
