"""What it costs to find questions that sound alike, by where they are kept.

    python -m bench.neighbours --store hnsw --size 10000

Each store is filled and asked in a process of its own, which is how memory is measured. The vectors are
those of real questions (`semantic_pairs/`), mixed and blurred until there are as many as wanted: as
crowded as questions of one help desk. `python -m bench.semantic --search` runs all of them.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.procfs import cpu_s, rss_bytes
from bench.questions import LANGUAGES, read_items
from extproc.cache.embedding import DIMS, load
from extproc.cache.graph import Graph
from extproc.cache.nearest import Vector
from extproc.cache.questions import MOST_TRIED, Questions, Room
from extproc.cache.turn import Sought
from extproc.stores.milvus import MilvusLine, Where
from extproc.stores.questions_memory import MemoryQuestions
from extproc.stores.questions_milvus import MilvusQuestions

STORES = ("exact", "hnsw", "milvus-lite")
SIZES = (1_000, 10_000, 100_000)
MOST_LITE = 10_000
"""Of Milvus Lite, which had not taken in 100 000 within ten minutes, one by one and with more work than cores."""
ASKED = 300
UNTIL_MS = 2**50
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Figures:
    store: str
    size: int
    add_cpu_ms: float
    add_worst_ms: float
    find_cpu_ms: float
    """Of all processes that take part."""
    find_p50_ms: float
    find_p99_ms: float
    recall: float
    """Of the nearest, how many are found."""
    bytes_each: float
    """Of a question, in the process that keeps it."""


async def nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Opened:
    questions: Questions
    cpu_s: Callable[[], float]
    resident_bytes: Callable[[], int]
    settle: Callable[[], Awaitable[object]] = nothing
    """Has what was kept put in order, as a store does by itself sometime."""


def make_vectors(size: int) -> tuple[Vector, Vector]:
    """So many, and those that are looked for: always the same."""
    texts = [
        text
        for language in LANGUAGES
        for item in read_items(language)
        for text in (*item.alike, *item.others)
    ]
    real = np.array(load()(texts), np.float32)
    draw = np.random.default_rng(7)

    def blurred(count: int) -> Vector:
        one, other = (real[draw.integers(len(real), size=count)] for _ in range(2))
        noise = draw.standard_normal((count, DIMS)).astype(np.float32) / DIMS**0.5
        mixed = one + 0.5 * other + 0.6 * noise
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)

    return blurred(size), blurred(ASKED)


@contextlib.asynccontextmanager
async def open_store(store: str, size: int) -> AsyncIterator[Opened]:
    room = Room(2 * size, 2 * size, 2 * size)
    if store != "milvus-lite":
        made = MemoryQuestions(room, Graph) if store == "hnsw" else MemoryQuestions(room)
        yield Opened(made, time.process_time, lambda: rss_bytes(os.getpid()))
        return
    with milvus_lite() as (url, pid):
        line = MilvusLine(Where(url, deadline_s=60))
        questions = MilvusQuestions(line, room)
        await questions.prepare(DIMS)
        yield Opened(
            questions,
            lambda: time.process_time() + cpu_s({"milvus": pid})["milvus"],
            lambda: rss_bytes(pid),
            lambda: line.call(
                lambda client: client.flush("headgate_512", timeout=60), "headgate_512"
            ),
        )
        line.close()


@contextlib.contextmanager
def milvus_lite() -> Iterator[tuple[str, int]]:
    """A Milvus on this machine, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        words = ["server", "--data-dir", directory, "--host", "127.0.0.1", "--port", str(port)]
        binary = Path(sys.executable).parent / "milvus-lite"
        process = subprocess.Popen([binary, *words], stdout=subprocess.DEVNULL)  # noqa: S603 - ours
        try:
            until_s = time.monotonic() + START_S
            while not is_there(port):
                assert time.monotonic() < until_s, "milvus-lite does not come up"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.kill()
            process.wait()


def is_there(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


async def measure(store: str, vectors: Vector, asked: Vector) -> Figures:
    size = len(vectors)
    right = [set(np.argsort(-(vectors @ each))[:MOST_TRIED].tolist()) for each in asked]
    async with open_store(store, size) as opened:
        before = opened.resident_bytes()
        add_cpu_ms, adding = await fill(opened, vectors)
        await opened.settle()
        bytes_each = (opened.resident_bytes() - before) / size
        began_s, finding, found = opened.cpu_s(), list[float](), 0
        for vector, wanted in zip(asked, right, strict=True):
            sought = Sought("t:m", "c", "?", vector.tobytes())
            at_s = time.perf_counter()
            alike = await opened.questions.nearest(sought, 1)
            finding.append((time.perf_counter() - at_s) * 1000)
            found += len(wanted & {int(each.key.rpartition(":")[2]) for each in alike})
        find_cpu_ms = (opened.cpu_s() - began_s) * 1000 / len(asked)
    hundredths = statistics.quantiles(finding, n=100)
    return Figures(
        store, size, add_cpu_ms, max(adding), find_cpu_ms, hundredths[49], hundredths[98],
        found / (len(asked) * MOST_TRIED), bytes_each,
    )  # fmt: skip


async def fill(opened: Opened, vectors: Vector) -> tuple[float, Sequence[float]]:
    """Keep them all; return the CPU time of each, and how long each took."""
    began_s, took = opened.cpu_s(), list[float]()
    for number, vector in enumerate(vectors):
        at_s = time.perf_counter()
        turn = f"How do I open door {number} of the second building?"
        sought = Sought("t:m", "c", turn, vector.tobytes())
        await opened.questions.add(sought, f"t:m:{number}", UNTIL_MS)
        took.append((time.perf_counter() - at_s) * 1000)
    return (opened.cpu_s() - began_s) * 1000 / len(vectors), took


def run(store: str, size: int) -> Figures:
    """Measure in a process of its own."""
    words = [sys.executable, "-m", "bench.neighbours", "--store", store, "--size", str(size)]
    told = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return Figures(**json.loads(told.stdout.splitlines()[-1]))


def say_all(stores: Sequence[str], sizes: Sequence[int]) -> None:
    print(
        "| questions | store | CPU to find | p50 | p99 | found | CPU to keep | slowest | memory |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for size in sizes:
        for store in stores:
            if store == "milvus-lite" and size > MOST_LITE:
                continue
            each = run(store, size)
            print(
                f"| {size} | {store} | {each.find_cpu_ms:.2f} ms | {each.find_p50_ms:.2f} ms | "
                f"{each.find_p99_ms:.1f} ms | {each.recall:.1%} | {each.add_cpu_ms:.2f} ms | "
                f"{each.add_worst_ms:.0f} ms | {each.bytes_each / 1000:.1f} kB |",
                flush=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--store", choices=STORES, required=True)
    parser.add_argument("--size", type=int, required=True)
    wants = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(measure(wants.store, *make_vectors(wants.size))))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
