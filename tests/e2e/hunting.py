"""After every gateway that tests have started: is a planted value (`planted.py`) in what it left?

Looked through are, as it stops: its metrics, all keys of its Valkey, what it keeps in memory; then all of its
state directory. What engines are sent is looked at as it comes. At the end of the session comes whatever
else lies in the session's directory: engines' records, exports, what tests with an Envoy of their own
left. Each worker of pytest-xdist hunts its own.
"""

import contextlib
import gzip
import os
import sqlite3
import threading
import zlib
from typing import NamedTuple

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.e2e.planted import KEYS, PLANTED, Finder

PIECE_BYTES = 8 << 20
BEFORE_BYTES = 4096
"""What of the piece before is looked at again: more than any form of a value has."""
SPILL_BYTES = 900
"""A row of SQLite that is longer may be cut into pages that lie apart: those are read as rows, too."""
KEYED = (".yaml", "policy-in-force.json", ".out")
"""Comments of the demo policy tell the keys that it is made for, and so does `up` on its screen."""
UNREAD = (sqlite3.DatabaseError, gzip.BadGzipFile, EOFError, zlib.error, pa.ArrowException)
"""A gateway that was killed leaves torn files; their bytes have been looked at as they are."""


class LeakError(AssertionError):
    """A planted value is where none may be."""


class Leak(NamedTuple):
    where: str
    offset: int
    name: str
    """Of the value, which is never told."""

    def __str__(self):
        return f"{self.where}, offset {self.offset}: {self.name}"


class Hunt:
    """What was looked through in a session, and what was found."""

    def __init__(self, values=PLANTED):
        self._finder = Finder(values)
        self._lock = threading.Lock()
        self._waiting, self._known = {}, {}
        self.gateways = self.files = self.bytes = self.told = 0
        self.leaks = []

    def look(self, where, raw, allowed=()):
        raw = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
        found = self._finder.find(raw)
        leaks = [Leak(where, at, name) for name, at in found.items() if name not in allowed]
        with self._lock:
            self.bytes += len(raw)
            self.leaks += leaks

    def sent(self, engine, headers, body):
        """Look at what an engine was sent."""
        said = "\n".join(f"{name}: {value}" for name, value in headers)
        self.look(f"headers of a request to {engine}", said)
        self.look(f"a request to {engine}", body)

    # ---- A gateway -----------------------------------------------------------------------------------

    def begin(self, gateway):
        self._waiting[gateway.state] = gateway

    def before(self, gateway):
        """Look through what is gone when it has stopped."""
        state = gateway.state
        with contextlib.suppress(httpx.TransportError):
            self.look(f"{state}: metrics", gateway.metrics())
        self.valkey(gateway.layout.counters_socket)
        for path in state.iterdir():
            if path.is_symlink():  # it leads into memory
                self.tree(path.resolve())

    def after(self, gateway):
        """Look through all that it left."""
        if self._waiting.pop(gateway.state, None):
            self.gateways += 1
            self.tree(gateway.state)
            said = gateway.state.parent / f"{gateway.state.name}.out"
            self.tree(said)

    def valkey(self, socket):
        once = Retry(NoBackoff(), 0)
        with (
            contextlib.suppress(redis.ConnectionError),
            redis.Redis(unix_socket_path=str(socket), retry=once) as server,
        ):
            for number, (key, value) in enumerate(read_all(server)):
                self.look(f"{socket}: key number {number}", key + b"\n" + value)

    # ---- Files ---------------------------------------------------------------------------------------

    def tree(self, top):
        """Look through a file, or all below a directory, that has changed since the last look."""
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                self.look(f"name of a file in {top}", path.name)
                if path.is_file() and not path.is_symlink():
                    self.file(path)

    def file(self, path):
        stat = path.stat()
        if self._known.get(path) == (version := (stat.st_ino, stat.st_size, stat.st_mtime_ns)):
            return
        self._known[path] = version
        self.files += 1
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            self.pieces(path, file, KEYS if path.name.endswith(KEYED) else ())
        for magic, read in KINDS.items():
            if start.startswith(magic):
                with contextlib.suppress(*UNREAD):
                    read(self, path)

    def pieces(self, where, file, allowed=()):
        at, tail = 0, b""
        while piece := file.read(PIECE_BYTES):
            place = f"{where} from {at - len(tail)}" if at else str(where)
            self.look(place, tail + piece, allowed)
            at, tail = at + len(piece), piece[-BEFORE_BYTES:]

    def gz(self, path):
        with gzip.open(path) as file:
            self.pieces(f"{path}, unpacked", file)

    def sqlite(self, path):
        """Rows that may be cut, and the log that is written ahead."""
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            database.text_factory = bytes
            for (table,) in database.execute("select name from sqlite_master where type = 'table'"):
                name = table.decode()
                columns = database.execute(f'select * from "{name}" limit 0').description
                length = "+".join(f'ifnull(length("{column[0]}"), 0)' for column in columns)
                long = database.execute(
                    f'select * from "{name}" where {length} > ?', (SPILL_BYTES,)
                )
                for number, row in enumerate(long):
                    self.look(f"{path}, row {number} of {name}", spoken(row))

    def parquet(self, path):
        for number, row in enumerate(pq.read_table(path).to_pylist()):
            self.look(f"{path}, row {number}", spoken(row))

    # ---- The session ---------------------------------------------------------------------------------

    def finish(self, *places):
        """Look through what is left of gateways that were killed, and everything else in these places."""
        for gateway in list(self._waiting.values()):
            self.after(gateway)
        for place in places:
            self.tree(place)

    def check(self):
        """Raises: LeakError, once for each leak."""
        with self._lock:
            fresh, self.told = self.leaks[self.told :], len(self.leaks)
        if fresh:
            raise LeakError("\n".join(["planted values were found:", *map(str, fresh)]))

    def counts(self):
        return {
            "gateways": self.gateways,
            "files": self.files,
            "bytes": self.bytes,
            "leaks": len(self.leaks),
        }


KINDS = {b"\x1f\x8b": Hunt.gz, b"SQLite format 3\0": Hunt.sqlite, b"PAR1": Hunt.parquet}
HUNT = Hunt()
"""Of this process: gateways and engines of all tests report here."""


def read_all(server):
    """All that is in a Valkey: key and value, whatever its type."""
    keys = list(server.scan_iter(count=1000))
    read = {
        b"string": lambda pipe, key: pipe.get(key),
        b"hash": lambda pipe, key: pipe.hgetall(key),
        b"set": lambda pipe, key: pipe.smembers(key),
        b"zset": lambda pipe, key: pipe.zrange(key, 0, -1),
        b"list": lambda pipe, key: pipe.lrange(key, 0, -1),
        b"stream": lambda pipe, key: pipe.xrange(key),
        b"none": lambda pipe, key: pipe.exists(key),  # it has just ended
    }
    with server.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
        for key, kind in zip(keys, pipe.execute(), strict=True):
            read[kind](pipe, key)
        values = pipe.execute()
    return [(key, spoken(value)) for key, value in zip(keys, values, strict=True)]


def spoken(value):
    """All texts and bytes in there, one behind the other."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set):
        return b"\n".join(spoken(each) for each in value)
    return value if isinstance(value, bytes) else str(value).encode()


def summary(counted):
    """The line at the end of a session, from the counts of all its workers."""
    total = {name: sum(each[name] for each in counted) for name in HUNT.counts()}
    return (
        "leak hunt: {gateways:,} gateways, {files:,} files, {bytes:,} bytes searched; "
        "{leaks:,} leaks found".format(**total)
    )


@contextlib.contextmanager
def recorded(directory):
    """Built-in engines write down here what they are sent."""
    name = "SIM_RECORD"
    before = os.environ.get(name)
    os.environ[name] = str(directory)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
