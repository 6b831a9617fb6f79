"""One vLLM server: its command line, its environment, and waiting until it answers."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp

POLL_S = 0.25
PROGRESS_S = 5.0
READY_S = 180.0
"""Ready in 12 to 20 s on two cores; a first start on a slow disk has to read 2 GB."""
STOP_S = 8.0
LOG_LINES = 12
"""Enough for the end of a Python traceback, and still one look."""


class EngineError(Exception):
    """The server did not become ready. The message ends with the last lines of its log."""


class Process(Protocol):
    """The part of `asyncio.subprocess.Process` that tells whether it still runs."""

    @property
    def returncode(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Server:
    """One server on loopback."""

    directory: Path
    """The environment that `install` made."""
    model: Path
    port: int
    served_name: str = "tiny"
    kv_cache_gib: float = 0.25
    """Room for 262 144 tokens of the tiny model."""
    block_size_tokens: int = 32
    """On CPU a multiple of 32."""
    max_model_len_tokens: int = 4096
    more: tuple[str, ...] = ()
    """Further arguments, such as those that make it publish KV events."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def command_line(server: Server) -> tuple[str, ...]:
    """What to execute. The `vllm` command itself fails: it looks for a distribution named vllm."""
    return (
        str(server.directory.absolute() / "bin" / "python"),
        *("-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(server.model.absolute())),
        *("--served-model-name", server.served_name),
        *("--host", "127.0.0.1", "--port", str(server.port)),
        *("--max-model-len", str(server.max_model_len_tokens)),
        *("--block-size", str(server.block_size_tokens)),
        *("--kv-cache-memory-bytes", str(round(server.kv_cache_gib * 2**30))),
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",  # else usage never tells cached tokens
        "--enforce-eager",  # compiling would cost minutes and gain nothing at this size
        *("--distributed-executor-backend", "uni"),  # see `environment`
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),  # else tools are refused
        *("--disable-access-log-for-endpoints", "/health,/metrics"),
        *server.more,
    )


def environment(server: Server, base: Mapping[str, str]) -> dict[str, str]:
    """The server's environment: `base`, and what keeps it local, quiet and small."""
    return {
        **base,
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": str(server.directory.absolute() / "cache"),  # default: in the home
        "VLLM_HOST_IP": "127.0.0.1",  # else its workers meet on a public address
        # Two servers that bind their threads would choose the same core; one thread each is as
        # fast for a model of this size (measured: 3 700 tokens/s for eight streams, bound 3 400).
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        # The worker inside the engine process. As a process of its own it is spun upon with
        # sched_yield, which on two cores kept other processes waiting for up to 5 s (Linux 6.18);
        # this way they waited 50 ms, an answer is 10 % faster and 0.5 GB of memory is free.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }


def last_lines(log: Path) -> str:
    try:
        text = log.read_text(errors="replace")
    except OSError as error:
        return f"(no log: {error})"
    return "\n".join(text.splitlines()[-LOG_LINES:]) or "(the log is empty)"


async def answers(client: aiohttp.ClientSession, url: str) -> bool:
    """Whether `/health` says yes now."""
    try:
        async with client.get(f"{url}/health") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def wait_ready(
    url: str,
    process: Process,
    log: Path,
    deadline_s: float,
    progress: Callable[[float], None],
) -> float:
    """Poll `/health` until it answers; the seconds it took. Usually 12 to 35.

    Calls `progress` with the seconds so far, at once and then every `PROGRESS_S`.

    Raises:
        EngineError: The process ended, or the deadline passed.
    """
    start_s = time.monotonic()
    told_s = -PROGRESS_S
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
        while not await answers(client, url):
            elapsed_s = time.monotonic() - start_s
            if process.returncode is not None:
                end = f"ended with code {process.returncode} after {elapsed_s:.0f} s"
                raise EngineError(f"vLLM {end}; {log} ends:\n{last_lines(log)}")
            if elapsed_s > deadline_s:
                end = f"is not ready after {deadline_s:.0f} s"
                raise EngineError(f"vLLM {end}; {log} ends:\n{last_lines(log)}")
            if elapsed_s - told_s >= PROGRESS_S:
                told_s = elapsed_s
                progress(elapsed_s)
            await asyncio.sleep(POLL_S)
    return time.monotonic() - start_s


@asynccontextmanager
async def running(
    server: Server, base: Mapping[str, str], log: Path, progress: Callable[[float], None]
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """A ready server for the length of the block, its output in `log`.

    Raises:
        EngineError: It did not become ready within `READY_S`.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command_line(server),
            env=environment(server, base),
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group of its own, so that its children can be ended with it
        )
    try:
        await wait_ready(server.url, process, log, READY_S, progress)
        yield process
    finally:
        await stop(process)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End the server, which usually takes half a second, and whatever is left of its group after `STOP_S`."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
