"""The settle process as it runs: real processes, real signals, real SQLite."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing

import pytest
from sqlalchemy import select

from ledger.config import NAME, Config, Retention, write_config
from ledger.database import open_database
from ledger.journal import JournalEntry, JournalWriter
from ledger.roots import FILE_NAME, read_roots
from ledger.signing import PUBLIC_NAME, load_verifier
from ledger.sql import open_ledger
from ledger.tables import REQUEST
from ledger.verify import verify
from tests.ledger.archive import DAY_MS, Archive
from tests.ledger.books import query
from tests.ledger.lines import START_MS, anonymous, end, periodic
from tests.postgres import PostgresServer

GUARD_S = 30


class Settling:
    """A settle process and what it says; its log is a file, so that it never waits for us."""

    def __init__(self, state, *flags):
        state.mkdir(exist_ok=True)
        self.log = state / f"settle-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "ledger", "--state", state, "--metrics-port", "0"]
        command += ["--drain-s", str(GUARD_S)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*command, *flags], stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(GUARD_S)

    def events(self):
        whole = self.log.read_text().rpartition("\n")[0]  # a line may be half written
        return [json.loads(line) for line in whole.splitlines()]

    def said(self):
        return [event["event"] for event in self.events()]

    def ready(self):
        wait_for(lambda: "ready" in self.said())
        return self

    @property
    def url(self):
        return next(event["metrics"] for event in self.events() if event["event"] == "ready")

    def end(self, signal_=signal.SIGTERM):
        self.process.send_signal(signal_)
        return self.process.wait(GUARD_S)


def keys(state):
    columns = query(state / "ledger.sqlite", select(REQUEST.c.settle_key).order_by(REQUEST.c.seq))
    return [key for (key,) in columns]


def write(state, *lines):
    (state / "log").mkdir(exist_ok=True)
    with (state / "log" / "access.jsonl").open("ab") as log:
        log.write(b"".join(line + b"\n" for line in lines))


def wait_for(condition):
    guard = time.monotonic() + GUARD_S
    while not condition():
        assert time.monotonic() < guard
        time.sleep(0.02)


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_settles_what_is_in_the_log(tmp_path, signal_):
    with Settling(tmp_path) as settling:
        settling.ready()
        write(tmp_path, *(end(f"s{n}") for n in range(2_000)))
        assert settling.end(signal_) == 0
    assert settling.said()[-1] == "stopped"
    assert settling.said().count("request_settled") == 2_000
    assert len(keys(tmp_path)) == 2_000


def test_metrics_answer_while_it_runs(tmp_path):
    with Settling(tmp_path) as settling:
        url = settling.ready().url
        write(tmp_path, end())

        def shown():
            with urllib.request.urlopen(url, timeout=GUARD_S) as answer:
                return b'status="200",tenant="acme"} 1.0' in answer.read()

        wait_for(shown)


def test_a_second_one_is_turned_away(tmp_path):
    with Settling(tmp_path) as first:
        first.ready()
        with Settling(tmp_path) as second:
            assert second.process.wait(GUARD_S) == 1
            (event,) = second.events()
    assert (event["event"], event["level"]) == ("gave_up", "error")
    assert "another settle process" in event["reason"]


def test_a_taken_port_is_one_clear_line(tmp_path):
    with Settling(tmp_path / "one") as first:
        port = first.ready().url.split(":")[2].removesuffix("/metrics")
        with Settling(tmp_path / "two", "--metrics-port", port) as second:
            assert second.process.wait(GUARD_S) == 1
            (event,) = second.events()
    assert event["event"] == "gave_up"
    assert port in event["reason"]


def test_a_ledger_locked_until_the_end_loses_nothing(tmp_path):
    with Settling(tmp_path, "--drain-s", "0.2") as settling:
        settling.ready()
        other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        write(tmp_path, end())
        assert settling.end() == 1
        other.close()
        assert "ledger_fault" in settling.said()
        assert settling.said()[-1] == "drain_incomplete"
    with Settling(tmp_path) as settling:
        assert settling.ready().end() == 0
    assert keys(tmp_path) == ["s1"]


class Traffic:
    """Requests that begin and end at random, as workers and Envoy would write them down."""

    def __init__(self, state, rng):
        self.state = state
        self.rng = rng
        self.begun = 0
        self.open = []
        self.ended = set()
        self.nameless = 0

    def go_on(self, writer):
        for _ in range(self.rng.randrange(60)):
            self.begun += 1
            key = f"s{self.begun}"
            writer.append(JournalEntry(at=time.time(), settle_key=key, tenant="acme"))
            self.open.append(key)
        self.rng.shuffle(self.open)
        ending = [self.open.pop() for _ in range(min(len(self.open), self.rng.randrange(60)))]
        running = self.open[:3]
        write(self.state, *map(periodic, running), *map(end, ending))
        write(self.state, anonymous(start_ms=START_MS + self.nameless))
        self.ended.update(ending)
        self.nameless += 1

    def rotate(self):
        log = self.state / "log" / "access.jsonl"
        log.rename(log.with_name(f"access.jsonl.{self.nameless}"))


@pytest.mark.long
def test_kill_9_at_any_moment_counts_everything_once(tmp_path):
    journal = tmp_path / "journal"
    journal.mkdir()
    traffic = Traffic(tmp_path, random.Random(9))
    for life in range(4):
        writer = JournalWriter(journal, start_ns=life, pid=1, roll_bytes=20_000)
        with Settling(tmp_path):  # killed at the end of the block
            for turn in range(traffic.rng.randrange(10, 120)):
                traffic.go_on(writer)
                if turn % 20 == 10:
                    traffic.rotate()
                time.sleep(0.01)
        writer.close()
    with Settling(tmp_path) as settling:
        wait_for(lambda: not list(journal.iterdir()))
        assert settling.end() == 0

    settled = keys(tmp_path)
    nameless = [key for key in settled if key.startswith("log:")]
    assert len(nameless) == traffic.nameless
    assert sorted(set(settled) - set(nameless)) == sorted(traffic.ended)
    ledger = open_ledger(tmp_path / "ledger.sqlite")
    assert set(ledger.open_requests()) == set(traffic.open)
    ledger.close()
    database = open_database(tmp_path / "ledger.sqlite")
    outside = read_roots(tmp_path / FILE_NAME)
    verdict = verify(database, load_verifier(tmp_path / PUBLIC_NAME), outside)
    database.close()
    assert (verdict.faults, verdict.unsigned) == ((), 0)


def test_a_stop_signs_what_was_settled(tmp_path):
    with Settling(tmp_path) as settling:
        settling.ready()
        write(tmp_path, end())
        assert settling.end() == 0
    (root,) = read_roots(tmp_path / FILE_NAME)
    assert '"entries":1' in root.document
    assert "root_signed" in settling.said()


def test_roots_are_signed_while_it_runs(tmp_path):
    with Settling(tmp_path, "--root-interval-s", "0.02") as settling:
        settling.ready()
        for count in (1, 2):
            write(tmp_path, end(f"s{count}"))
            wait_for(lambda n=count: len(list(read_roots(tmp_path / FILE_NAME))) >= n)


def test_what_was_kept_long_enough_goes_by_itself(tmp_path):
    with closing(Archive(tmp_path / "ledger.sqlite", tmp_path)) as archive:
        archive.now_ms = round(time.time() * 1000) - 9 * DAY_MS
        archive.book("old", days=1)
        archive.book("new", days=8)
        archive.sign()
    write_config(tmp_path / "run" / NAME, Config(retention=Retention(3)))
    with Settling(tmp_path) as settling:
        settling.ready()
        wait_for(lambda: "retention" in settling.said())
        write(tmp_path, end("newer"))
        assert settling.end() == 0
    assert keys(tmp_path) == ["new", "newer"]
    with closing(open_database(tmp_path / "ledger.sqlite")) as database:
        outside = read_roots(tmp_path / FILE_NAME)
        verdict = verify(database, load_verifier(tmp_path / PUBLIC_NAME), outside)
    assert (verdict.faults, verdict.trimmed, verdict.unsigned) == ((), 1, 0)


def test_a_ledger_in_postgresql_that_comes_late_and_restarts(tmp_path):
    server = PostgresServer()
    try:
        address = server.new_schema()
        server.stop()
        with Settling(tmp_path, "--ledger", address) as settling:
            wait_for(lambda: "ledger_wait" in settling.said())
            server.start()
            settling.ready()
            write(tmp_path, end("s1"))
            wait_for(lambda: "request_settled" in settling.said())
            server.restart(signal.SIGQUIT)
            write(tmp_path, end("s2"))
            wait_for(lambda: settling.said().count("request_settled") == 2)
            assert settling.end() == 0
        keys = [key for (key,) in query(address, select(REQUEST.c.settle_key))]
    finally:
        server.close()
    assert sorted(keys) == ["s1", "s2"]
    assert "ledger_back" in settling.said()
