"""The load generator: `python -m bench.load MODE ... < REQUEST`, one run, a `Sample` as JSON.

The request is read from standard input as it goes over the wire, and sent again and again over
keep-alive connections. The CPU time of the processes named by --pid is read here, at both ends of
the measuring window, because only here it is known when that begins and ends.

    closed   every connection asks again as soon as it is answered
    open     requests are due at a fixed rate, whatever the answers do. A latency counts from the
             moment the request was due: what waits behind a slow answer is not left out
    stream   one answer for each connection, measured while all of them stream
    idle     nothing is sent
"""

import argparse
import asyncio
import selectors
import sys

import msgspec
import uvloop

from bench.connection import LoadError
from bench.generator import Generator, Load


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    mode: str
    port: int
    connections: int
    warmup_s: float
    seconds: float
    requests: int
    rate: float
    pid: list[str]


def read_pid(text: str) -> tuple[str, int]:
    name, _, pid = text.partition("=")
    return name, int(pid)


def exact_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are good to some microseconds: select(2) waits in those, where epoll and
    uvloop count whole milliseconds. Slower in every other way, which a fixed rate can afford."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def parse(arguments: list[str] | None) -> Load:
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    add = parser.add_argument
    add("mode", choices=("closed", "open", "stream", "idle"))
    add("--port", type=int, default=0)
    add("--connections", type=int, default=0)
    add("--warmup-s", type=float, default=0.0, help="before measuring begins")
    add("--seconds", type=float, default=1.0, help="of measuring")
    add("--requests", type=int, default=0, help="closed: measure so many answers instead")
    add("--rate", type=float, default=0.0, help="open: requests per second")
    add("--pid", action="append", default=[], help="NAME=PID, whose CPU time is read")
    flags = parser.parse_args(arguments, namespace=Flags())
    return Load(
        mode=flags.mode,
        port=flags.port,
        connections=flags.connections,
        warmup_s=flags.warmup_s,
        seconds=flags.seconds,
        requests=flags.requests,
        rate=flags.rate,
        pids=dict(read_pid(text) for text in flags.pid),
    )


def main(arguments: list[str] | None = None) -> int:
    load = parse(arguments)
    request = sys.stdin.buffer.read()
    factory = exact_loop if load.mode == "open" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            sample = runner.run(Generator(load, request).run())
        except (LoadError, OSError) as exc:
            sys.stderr.write(f"bench.load: {exc}\n")
            return 1
    sys.stdout.buffer.write(msgspec.json.encode(sample))
    return 0


if __name__ == "__main__":
    sys.exit(main())
