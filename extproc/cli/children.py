"""Child processes: started, watched, started again, and stopped without leaving one behind."""

import asyncio
import contextlib
import ctypes
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from telemetry.logs import Event, EventLog

log = EventLog(__name__)

RESTART_DELAY_S = 0.2
"""Before a dead child is started again: long enough not to spin, short enough that two workers are
one only for a moment."""
RESTART_DELAY_MAX_S = 5.0
STEADY_S = 10.0
"""A child that lived this long begins again with the short delay."""
TAIL_LINES = 5


class ChildError(Exception):
    """A child could not be started, or ended before it was ready. The message is for people."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. Output goes to `log`, which is appended to."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    before: Callable[[], None] = lambda: None
    """Called before every start, to clear away what a killed predecessor left."""


class Child:
    """One process, kept alive by `keep` until `stop`."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: Process | None = None
        self._swept: Process | None = None
        self._stopping = False
        self._log_begin = 0
        self._turn = asyncio.Lock()  # a restart and a stop must not cross: it would leave an orphan

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start it once. Raises: ChildError."""
        command = self.command
        command.before()
        with command.log.open("ab") as output:
            self._log_begin = output.tell()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command.argv,
                    env=dict(command.env),
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C reaches `up` alone, which stops in order
                    preexec_fn=die_with_parent,
                )
            except OSError as exc:
                raise ChildError(f"{command.name}: {command.argv[0]}: {exc.strerror}") from None
        log.info(Event.PROCESS_STARTED, process_name=command.name, child=self._process.pid)

    async def ready(self, check: Callable[[], Awaitable[bool]], deadline_s: float) -> None:
        """Wait until `check` is true. Raises: ChildError if it ends or the time is over first."""
        assert self._process is not None
        until = asyncio.get_running_loop().time() + deadline_s
        while not await check():
            if self._process.returncode is not None:
                raise ChildError(f"{self.command.name} ended at once.\n{self.tail()}")
            if asyncio.get_running_loop().time() > until:
                raise ChildError(
                    f"{self.command.name} was not ready after {deadline_s:.0f} s.\n{self.tail()}"
                )
            await asyncio.sleep(0.05)

    async def keep(self) -> None:
        """Start it again whenever it ends, until `stop`."""
        delay_s = RESTART_DELAY_S / 2  # doubled below
        while self._process is not None:
            begun = asyncio.get_running_loop().time()
            code = await self._process.wait()
            # What it has left would hold ports and memory of the next one.
            self._sweep(self._process)
            if self._stopping:
                return
            log.warning(
                Event.PROCESS_EXITED, process_name=self.command.name, child=self.pid, code=code
            )
            lived_s = asyncio.get_running_loop().time() - begun
            delay_s = (
                RESTART_DELAY_S if lived_s > STEADY_S else min(delay_s * 2, RESTART_DELAY_MAX_S)
            )
            await asyncio.sleep(delay_s)
            async with self._turn:
                if self._stopping:
                    return
                try:
                    await self.start()
                except (ChildError, OSError) as exc:  # no memory, no file descriptor: not for ever
                    log.error(Event.PROCESS_EXITED, exc, process_name=self.command.name)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, and SIGKILL to its whole process group when `grace_s` is over."""
        self._stopping = True
        async with self._turn:
            process = self._process
        if process is None:
            return
        if process.returncode is not None:
            self._sweep(process)
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            log.warning(Event.DRAIN_INCOMPLETE, process_name=self.command.name)
        kill_group(process.pid)
        await process.wait()

    def _sweep(self, ended: Process) -> None:
        """End what it has left of its group: once, for later its number may be another's."""
        if ended is not self._swept:
            self._swept = ended
            kill_group(ended.pid)

    def tail(self) -> str:
        """Return the last lines it has logged since it was started, indented."""
        try:
            with self.command.log.open("rb") as log_file:
                log_file.seek(self._log_begin)
                lines = log_file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])


PR_SET_PDEATHSIG = 1
"""prctl(2): the signal a process gets when its parent dies."""
LIBC = ctypes.CDLL(None)


def die_with_parent() -> None:
    """Runs in the child before its program: not even a kill -9 of `up` leaves orphans."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """End what is left of the process group that `pid` leads: vLLM, for one, has children."""
    # It leads a session of its own, so nothing else can be in the group.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
