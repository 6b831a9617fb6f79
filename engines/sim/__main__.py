"""`python -m engines.sim`: one engine process. SIGTERM and SIGINT end it: open answers get 5 s."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable

import uvloop
from aiohttp import web

from engines.sim.app import Service
from engines.sim.engine import Settings, SimEngine

# aiohttp waits this long for open requests to end by themselves, takes away their input, and waits
# as long again; then it cancels them. Twice this is the time that an open answer has.
_DRAIN_S = 2.5
# Connections that may wait to be accepted: a benchmark opens hundreds at once.
_BACKLOG = 1024


class Flags(argparse.Namespace):
    """The flags with their types; the parser fills them in."""

    host: str
    port: int
    model: list[str]
    ttft_ms: float
    itl_ms: float
    max_model_len: int
    block_size: int
    num_gpu_blocks: int
    fail_rate: float
    seed: int
    ready_fd: int | None = None


def main(arguments: list[str] | None = None) -> int:
    flags = _parser().parse_args(arguments, namespace=Flags())
    settings = Settings(
        models=tuple(flags.model),
        ttft_ms=flags.ttft_ms,
        itl_ms=flags.itl_ms,
        max_model_len=flags.max_model_len,
        block_size=flags.block_size,
        num_blocks=flags.num_gpu_blocks,
        fail_rate=flags.fail_rate,
        seed=flags.seed,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_serve(settings, flags))
        except OSError as wrong:
            sys.stderr.write(f"engines.sim: cannot listen on {flags.host}:{flags.port}: {wrong}\n")
            return 1
    return 0


async def _serve(settings: Settings, flags: Flags) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        Service(SimEngine(settings)).app(),
        access_log=None,
        handler_cancellation=True,  # a client that leaves ends its generation
        auto_decompress=False,  # vLLM reads no compressed bodies either
        shutdown_timeout=_DRAIN_S,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, flags.host, flags.port, backlog=_BACKLOG)
        await site.start()
        _tell_ready(runner, settings, flags)
        await stop.wait()
    finally:
        await runner.cleanup()


def _tell_ready(runner: web.AppRunner, settings: Settings, flags: Flags) -> None:
    host, port = runner.addresses[0][:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.stdout.write(f"{settings.models[0]} is ready at {url}\n")
    sys.stdout.flush()
    if flags.ready_fd is not None:
        with os.fdopen(flags.ready_fd, "w") as ready:
            ready.write(f"{url}\n")


def _parser() -> argparse.ArgumentParser:
    default = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m engines.sim",
        description="An OpenAI-shaped engine that answers like vLLM and needs no model: "
        "deterministic words, exact token counts, a real prefix cache, faults on request.",
        epilog='A request may carry "x_sim": {"ttft_ms": 500, "itl_ms": 20, "fault": "cut_after:3"}.'
        " The faults: error_500, error_503, cut_before_headers, cut_after_headers, cut_after:N, "
        "hang, slow, huge:M, drip:N. `python -m pydoc engines.sim` tells what each one does.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )

    def add(flag: str, kind: Callable[[str], object], value: object, text: str) -> None:
        parser.add_argument(flag, type=kind, default=value, help=text)

    add("--host", str, "127.0.0.1", "address to listen on")
    add("--port", _number(int, 0, 65535), 0, "port to listen on; 0 takes a free one")
    parser.add_argument(
        "--model",
        nargs="+",
        default=list(default.models),
        metavar="NAME",
        help="name in answers and metrics, then its aliases",
    )
    add("--ttft-ms", _number(float, 0), default.ttft_ms, "time to the first token")
    add("--itl-ms", _number(float, 0), default.itl_ms, "time between tokens; 0 sends all at once")
    add(
        "--max-model-len",
        _number(int, 2),
        default.max_model_len,
        "longest prompt and answer together, in tokens",
    )
    add("--block-size", _number(int, 1), default.block_size, "tokens per prefix cache block")
    add("--num-gpu-blocks", _number(int, 1), default.num_blocks, "blocks in the prefix cache")
    add(
        "--fail-rate",
        _number(float, 0, 1),
        default.fail_rate,
        "share of requests answered with 503, from 0 to 1",
    )
    add("--seed", int, default.seed, "decides which requests --fail-rate hits")
    add(
        "--ready-fd",
        _number(int, 0),
        argparse.SUPPRESS,
        "descriptor that gets the URL as one line, and is closed, when ready",
    )
    return parser


def _number(
    kind: type[int] | type[float], least: float, most: float = float("inf")
) -> Callable[[str], float]:
    """A parser for numbers from `least` to `most`; infinities and nan are none."""

    def number(text: str) -> float:
        value = kind(text)
        if not (least <= value <= most and value < float("inf")):
            raise argparse.ArgumentTypeError(f"must be {kind.__name__}, {least} to {most}")
        return value

    number.__name__ = kind.__name__  # argparse says "invalid int value" with it
    return number


if __name__ == "__main__":
    sys.exit(main())
