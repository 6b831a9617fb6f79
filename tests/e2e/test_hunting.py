"""The hunt itself: what is planted is found, wherever and however it is written."""

import contextlib
import gzip
import sqlite3
from contextlib import closing

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis

from tests.e2e import hunting
from tests.e2e.echoing import echoing
from tests.e2e.hunting import Hunt, LeakError, summary
from tests.e2e.planted import KNOWN, MAIL, PLANTED, Finder, spell
from tests.e2e.recording import recording
from tests.valkey import Valkey

LONG = "x" * 4500
"""More than a page of SQLite has room for."""
VALUE = "vesper.holloway-6d1q7@magpie-wharf.example"
"""For here alone: what tests write is searched in the end, too."""
FINDER = Finder(PLANTED)


@pytest.fixture
def hunt():
    return Hunt({"mail": VALUE})


@pytest.fixture
def state(tmp_path):
    (tmp_path / "log").mkdir()
    return tmp_path


@pytest.mark.parametrize("way", spell(MAIL))
@pytest.mark.parametrize("name", PLANTED)
def test_every_spelling_of_every_value_is_found(name, way):
    raw = spell(PLANTED[name])[way]
    found = FINDER.find(b"before \xff" + raw + b"\0 behind")
    assert name in found
    assert 0 < found[name] < len(raw) + 8


def test_nothing_else_is_found():
    said = " ".join([*KNOWN.values(), "<EMAIL_ABCDEFGH>", "0123456789" * 9, *map(ascii, PLANTED)])
    assert FINDER.find(said.encode()) == {}


def plain(path, value):
    path.write_text(f"a line\n{value}\n")


def packed(path, value):
    path.write_bytes(gzip.compress(f"a line\n{value}\n".encode()))


def far_back(path, value):
    """It is cut where one piece ends."""
    path.write_bytes(b"-" * (hunting.PIECE_BYTES - 5) + value.encode())


def table(path, value):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table t (n integer, text, raw blob)")
        database.execute("insert into t values (1, ?, null)", (value,))


def cut_row(path, value):
    """Each in one place or other over the end of a page."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table t (text)")
        rows = [(LONG[:length] + value,) for length in range(4000, 4500, 7)]
        database.executemany("insert into t values (?)", rows)


def columns(path, value):
    pq.write_table(pa.table({"a": ["-", value], "b": [None, LONG]}), path, compression="zstd")


@pytest.mark.parametrize("write", [plain, packed, far_back, table, cut_row, columns])
def test_files_are_opened(hunt, state, write):
    write(state / "log" / "kept", VALUE)
    hunt.tree(state)
    assert {leak.name for leak in hunt.leaks} == {"mail"}
    with pytest.raises(LeakError, match=r"log/kept.*, offset \d+: mail") as told:
        hunt.check()
    assert VALUE not in str(told.value)
    hunt.check()  # told once
    assert (hunt.files, hunt.counts()["leaks"]) == (1, len(hunt.leaks))


def test_what_is_written_ahead_is_read(hunt, state):
    with closing(sqlite3.connect(state / "log" / "kept")) as database:
        database.execute("pragma journal_mode = wal")
        with database:
            database.execute("create table t (text)")
            database.execute("insert into t values (?)", (LONG + VALUE,))
        hunt.tree(state)
        assert any("row 0 of t" in leak.where for leak in hunt.leaks)


def test_torn_files_are_read_as_far_as_they_go(hunt, state):
    for write in (packed, table, columns):
        path = state / "log" / write.__name__
        write(path, VALUE)
        path.write_bytes(path.read_bytes()[:-9] + VALUE.encode())
    hunt.tree(state)
    assert len({leak.where for leak in hunt.leaks}) >= 3


def test_a_files_name_may_be_one(hunt, state):
    (state / "log" / f"{VALUE}.txt").touch()
    hunt.tree(state)
    (leak,) = hunt.leaks
    assert VALUE not in str(leak)


def test_every_kind_of_key_of_a_valkey(hunt, tmp_path):
    with (
        Valkey(tmp_path / "v") as valkey,
        redis.Redis(unix_socket_path=str(valkey.socket)) as server,
    ):
        server.set("plain", VALUE)
        server.set(VALUE, "in a key")
        server.hset("hash", VALUE, 1)
        server.sadd("set", VALUE)
        server.zadd("zset", {VALUE: 1})
        server.rpush("list", "a", VALUE)
        server.xadd("stream", {"a": VALUE})
        server.set("clean", KNOWN["mail"])
        hunt.valkey(valkey.socket)
    assert [leak.name for leak in hunt.leaks] == ["mail"] * 7
    assert not any(VALUE in str(leak) for leak in hunt.leaks)
    hunt.valkey(valkey.socket)  # it has ended


def test_what_engines_are_sent(hunt):
    hunt.sent("an engine", [("x-user", VALUE)], b"{}")
    hunt.sent("an engine", [("x-user", "ann")], f'"{VALUE}"'.encode())
    assert [leak.where.split()[0] for leak in hunt.leaks] == ["headers", "a"]


def test_engines_of_tests_report(hunt):
    for engine in (recording(hunt), echoing(hunt)):
        with engine as started, contextlib.suppress(httpx.TransportError):
            httpx.post(started.url, content=VALUE)
    assert [leak.name for leak in hunt.leaks] == ["mail"] * 2


def test_a_gateway_is_searched_while_it_runs_and_when_it_has_stopped(gateway):
    """Its metrics, its Valkey and its files: all of it is looked at."""
    hunt = Hunt(PLANTED)
    hunt.begin(gateway)
    hunt.before(gateway)
    looked = hunt.bytes
    assert looked > len(gateway.metrics()) / 2
    hunt.after(gateway)
    assert hunt.files > 20
    assert hunt.bytes > looked
    assert hunt.leaks == []
    assert hunt.gateways == 1


def test_built_in_engines_write_down_what_they_are_sent(gateway, tmp_path_factory):
    with gateway.http() as http:
        http.post(
            "/v1/chat/completions",
            json={"model": "demo", "messages": [{"role": "user", "content": "unheard of"}]},
        )
    records = tmp_path_factory.getbasetemp().rglob("engine-*.jsonl")
    assert any("unheard of" in path.read_text() for path in records)


def test_the_last_line():
    told = {"gateways": 2, "files": 1000, "bytes": 5, "leaks": 0}
    assert summary([told, told]) == (
        "leak hunt: 4 gateways, 2,000 files, 10 bytes searched; 0 leaks found"
    )
