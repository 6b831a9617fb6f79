"""What it costs to watch engines: CPU and memory of the watch process, its pace, and what a worker pays
that listens.

`python -m bench.watch [--endpoints 500] [--seconds 10]`. Endpoints are ports of one process on loopback that
answers with vLLM's recorded metrics, in which numbers change: of one engine (58 kB), of two behind one server, or
those that the built-in engine has. All processes share the machine, so CPU time is what counts.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import cast

import uvloop

from bench.procfs import cpu_s, rss_bytes
from engines.vllm import NAMES
from engines.watch import messages
from engines.watch.config import NAME, Config, Pool, Static, write_config
from engines.watch.messages import Looks, Member
from extproc.enginesview import EnginesView
from telemetry.logs import start_logging

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "tests" / "fixtures" / "vllm" / "metrics.body"
SETTLE_S = 8.0
"""Until the pace has settled."""
KINDS = ("built-in", "vLLM", "two vLLM")
MIB = 1024 * 1024


def texts(kind: str) -> Sequence[bytes]:
    """Make what an engine says, some ways that differ in a number."""
    text = RECORDED.read_bytes()
    if kind == "two vLLM":
        text += text.replace(b'engine="0"', b'engine="1"')
    old = next(line for line in text.splitlines() if line.startswith(b"vllm:num_requests_running"))
    new = old.rpartition(b" ")[0]
    found = [text.replace(old, new + b" %d.0" % number) for number in range(16)]
    return found if kind != "built-in" else [named(each) for each in found]


def named(text: bytes) -> bytes:
    """Leave the lines that are wanted, about as many as the built-in engine has."""
    lines = [line for line in text.splitlines() if line.split(b"{")[0].split(b" ")[0] in NAMES]
    return b"\n".join([*lines, b""])


class Engine(asyncio.Protocol):
    """Answers at once."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = texts
        self._turn = count()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        turn = next(self._turn)
        if data.startswith(b"GET /health"):
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            return
        body = self._texts[turn % len(self._texts)]
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def serve_engines(endpoints: int, kind: str) -> None:
    """Serve for ever; print the ports."""
    found = texts(kind)
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: Engine(found), "127.0.0.1", 0, backlog=16)
        for _ in range(endpoints)
    ]
    sys.stdout.write(" ".join(str(each.sockets[0].getsockname()[1]) for each in servers) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


class CountingView(EnginesView):
    """Counts what it hears."""

    looks = 0

    def hear(self, message: messages.Any) -> None:
        if isinstance(message, Looks):
            self.looks += len(message.looks)
        super().hear(message)


@dataclass(frozen=True, slots=True)
class Found:
    """Of one kind."""

    watch_share: float
    watch_mib: float
    worker_share: float
    looks_per_s: float
    oldest_ms: float


@contextmanager
def process(*argv: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    try:
        yield started
    finally:
        started.terminate()
        started.communicate()


async def measure(state: Path, endpoints: Sequence[str], pid: int, seconds: float) -> Found:
    view = CountingView()
    view.track({"p": ([Member(each) for each in endpoints], False)})
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(view.run(state))
        await asyncio.sleep(SETTLE_S)
        before, began_s = (
            (cpu_s({"w": pid})["w"], time.process_time(), view.looks),
            time.monotonic(),
        )
        await asyncio.sleep(seconds)
        after, took_s = (
            (cpu_s({"w": pid})["w"], time.process_time(), view.looks),
            time.monotonic() - began_s,
        )
        oldest = max(time.monotonic() - each.seen_s for each in view.candidates("p"))
        running.cancel()
    watch, worker, looks = ((b - a) / took_s for a, b in zip(before, after, strict=True))
    return Found(watch, rss_bytes(pid) / MIB, worker, looks, oldest * 1000)


def run_kind(kind: str, endpoints: int, seconds: float) -> Found:
    serve = ("-m", "bench.watch", "--serve", kind, "--endpoints", str(endpoints))
    with tempfile.TemporaryDirectory() as directory, process(*serve) as engines:
        assert engines.stdout is not None
        named_ = [f"127.0.0.1:{port}" for port in engines.stdout.readline().split()]
        state = Path(directory)
        pool = Pool("p", "vllm", static=tuple(Static(each) for each in named_))
        write_config(state / "run" / NAME, Config("bench", (pool,)))
        with process("-m", "engines.watch", "--state", str(state)) as watch:
            while not (state / "run" / "watch.sock").exists():
                time.sleep(0.05)
            return uvloop.run(measure(state, named_, watch.pid, seconds))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.watch", description=__doc__)
    parser.add_argument("--endpoints", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve_engines(options.endpoints, options.serve))
        return 0
    start_logging("bench", level="error")
    print(f"{options.endpoints} endpoints\n")
    print("| metrics | watch: core | watch: MiB | looks/s | each every | oldest | worker: core |")
    print("|---|---|---|---|---|---|---|")
    for kind in options.kind or KINDS:
        found = run_kind(kind, options.endpoints, options.seconds)
        every_ms = 1000 * options.endpoints / max(found.looks_per_s, 1e-9)
        print(
            f"| {kind} | {found.watch_share:.0%} | {found.watch_mib:.0f} | {found.looks_per_s:.0f} "
            f"| {every_ms:.0f} ms | {found.oldest_ms:.0f} ms | {found.worker_share:.1%} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
