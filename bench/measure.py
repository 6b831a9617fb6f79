"""One run of the load generator, in a process of its own."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

import msgspec

from bench.sample import Sample
from extproc.settings import inherited


class BenchError(Exception):
    """A run could not be made. The message is for people."""


async def measure(
    port: int, pids: Mapping[str, int], mode: str, flags: Sequence[str], request: bytes
) -> Sample:
    """Make one run. Raises: BenchError."""
    argv = ["-m", "bench.load", mode, f"--port={port}", *flags, *pid_flags(pids)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *argv,
        env=inherited(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate(request)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = err.decode(errors="replace").strip()
        raise BenchError(f"{mode}: {said}")
    return msgspec.json.decode(out, type=Sample)


def options(**values: float) -> list[str]:
    """Write flags for `bench.load`: `warmup_s=0.5` becomes `--warmup-s=0.5`."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]


def pid_flags(pids: Mapping[str, int]) -> list[str]:
    return [f"--pid={name}={pid}" for name, pid in pids.items()]
