"""`python -m engines.sim`: one engine process. SIGTERM and SIGINT end it: open answers get 5 s."""

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, cast

import uvloop
from aiohttp import web
from aiohttp.typedefs import Middleware

from engines.sim.app import Service
from engines.sim.calibrate import main as calibrate
from engines.sim.engine import SimEngine
from engines.sim.flags import Flags, parser, settings_of
from engines.sim.kvevents import Publisher
from engines.sim.listening import Address, listening
from engines.sim.recorder import recording
from engines.sim.run import Settings
from engines.sim.validate import main as validate

# aiohttp waits this long for open requests to end by themselves, takes away their input, and waits
# as long again; then it cancels them. Twice this is the time that an open answer has.
_DRAIN_S = 2.5
# Connections that may wait to be accepted: a benchmark opens thousands at once.
_BACKLOG = 4096
# Objects between two looks for garbage, and looks until older ones are looked at. Streams make none
# in circles; with Python's own 700 a tenth of the CPU time of 900 streams went into looking.
_GARBAGE = (100_000, 20, 100)
_TOOLS: Mapping[str, Callable[[list[str]], int]] = MappingProxyType(
    {"calibrate": calibrate, "validate": validate}
)


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in _TOOLS:
        return _TOOLS[words[0]](words[1:])
    reads = parser()
    flags = reads.parse_args(words, namespace=Flags())
    try:
        settings = settings_of(flags)
    except ValueError as wrong:
        reads.error(str(wrong))
    gc.set_threshold(*_GARBAGE)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # often 1024 are let in, unless asked
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
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
    if flags.startup_s:  # the port stays closed, as while vLLM loads its weights
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), flags.startup_s)
            return
    with _publisher(flags) as publisher, _recorder(flags) as record:
        publish = publisher.publish if publisher else None
        runner = web.AppRunner(
            Service(SimEngine(settings), publish=publish, record=record).app(),
            access_log=None,
            handler_cancellation=True,  # a client that leaves ends its generation
            auto_decompress=False,  # vLLM reads no compressed bodies either
            shutdown_timeout=_DRAIN_S,
        )
        await runner.setup()
        try:
            protocol = cast("Callable[[], asyncio.Protocol]", runner.server)
            async with (
                listening(protocol, flags.host, flags.port, _BACKLOG) as address,
                asyncio.TaskGroup() as group,
            ):
                _tell_ready(address, settings, flags)
                replays = group.create_task(publisher.answer_replays()) if publisher else None
                await stop.wait()
                if replays:
                    replays.cancel()
        finally:
            await runner.cleanup()


@contextmanager
def _publisher(flags: Flags) -> Generator[Publisher | None]:
    if flags.kv_events is None:
        yield None
        return
    publisher = Publisher(flags.host, flags.kv_events, flags.kv_replay, flags.kv_topic)
    try:
        told = f"KV events at tcp://{flags.host}:{publisher.port}"
        replay = publisher.replay_port
        sys.stdout.write(f"{told}, replay at port {replay}\n" if replay else f"{told}\n")
        yield publisher
    finally:
        publisher.close()


@contextmanager
def _recorder(flags: Flags) -> Generator[Middleware | None]:
    if not flags.record:
        yield None
        return
    path = Path(flags.record) / f"engine-{flags.port}-{os.getpid()}.jsonl"
    with path.open("ab", buffering=0) as file:
        yield recording(cast("BinaryIO", file))


def _tell_ready(address: Address, settings: Settings, flags: Flags) -> None:
    host, port = address
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.stdout.write(f"{settings.models[0]} is ready at {url}\n")
    sys.stdout.flush()
    if flags.ready_fd is not None:
        with os.fdopen(flags.ready_fd, "w") as ready:
            ready.write(f"{url}\n")


if __name__ == "__main__":
    gc.freeze()  # modules stay: at the end alone, walking over them takes 50 ms of CPU
    sys.exit(main())
