"""A real Milvus for tests: Milvus Lite as a server, on a free port of this machine, there within 5 s."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from extproc.cli.preflight import free_port

START_S = 60.0
"""Hang guard: a start takes 1 to 5 s."""


class Milvus:
    """`with Milvus(directory) as milvus:` and `milvus.url` answers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        words = ["server", "--data-dir", self.directory / "milvus", "--host", "127.0.0.1"]
        binary = Path(sys.executable).parent / "milvus-lite"
        with (self.directory / "milvus.log").open("wb") as log:
            self.process = subprocess.Popen(
                [binary, *words, "--port", str(self.port)], stdout=log, stderr=log
            )
        due_s = time.monotonic() + START_S
        while time.monotonic() < due_s and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        self.__exit__()
        raise AssertionError((self.directory / "milvus.log").read_text())

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
