"""Whatever happens in between, the ledger is the same: the same requests, the same sums."""

from collections import defaultdict

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ledger.memory import MemoryLedger
from ledger.rollup import add_up, read_histogram
from ledger.settle import Pace
from ledger.sql import open_ledger
from ledger.tables import AMOUNTS, REQUEST
from tests.ledger import books
from tests.ledger.lines import USAGE, WHAT, WHO, anonymous, end, entry, periodic
from tests.ledger.test_settle import Process, journals

PRICED = {**WHO, **WHAT, "price": books.PRICE}
LABELS = {"gpu": "h100", "prefill_tokens_per_s": 5000, "decode_tokens_per_s": "50", "watts": 700}


def said(key, **members):
    return {"settle_key": key, **PRICED, **members}


SCRIPT_LOG = [
    periodic("s1", said=said("s1"), usage={"prompt_tokens": 7, "completion_tokens": 1}),
    end("s1", said=said("s1"), endpoint_labels=LABELS),
    end("s2", said={"settle_key": "s2", **WHO}),
    anonymous(),
    b"garbage",
    end("s2", said={"settle_key": "s2", **WHO}),
    periodic("s3", said=said("s3", project=None), usage=USAGE, endpoint_labels=LABELS),
    end("s4", said=said("s4", user="u2")),
]
SCRIPT_JOURNAL = [
    entry("s1", price=books.PRICE),
    entry("s2", price=books.PRICE, track="stable"),
    entry("s1", price=books.PRICE),
    entry("s3", price=books.PRICE, project="only the journal"),
]
STEPS = (
    "log", "journal", "step", "crash", "down", "full", "loses", "up", "rotate", "truncate", "wait",
    "lapse",
)  # fmt: skip


class Script:
    """The same lines in any order, with anything that may go wrong in between."""

    def __init__(self, process):
        self.process = process
        self.log, self.journal = list(SCRIPT_LOG), list(SCRIPT_JOURNAL)
        self.rotations = self.truncations = 0

    def play(self, steps):
        for step in steps:
            self.do(step)
        process = self.process
        process.ledger.down = process.ledger.full = process.ledger.loses = False
        process.write(*self.log)
        process.record(*self.journal)
        for _ in range(3):
            process.settler.step()
        process.clock.now_s += 1000
        for _ in range(3):
            process.settler.step()
        assert process.ledger.open_requests() == {}
        assert journals(process) == []
        process.settler.close()

    def do(self, step):
        process = self.process
        if step == "log" and self.log:
            process.write(self.log.pop(0))
        elif step == "journal" and self.journal:
            process.record(self.journal.pop(0), name=f"{len(self.journal)}-1-0.jsonl")
        elif step == "crash":
            process.start()
        elif step in ("down", "full", "loses", "up"):
            process.ledger.down = step == "down"
            process.ledger.full = step == "full"
            process.ledger.loses = step == "loses"
        elif step == "rotate" and process.log.exists():
            self.rotations += 1
            process.log.rename(process.log.with_name(f"access.jsonl.{99 - self.rotations}"))
        elif step == "truncate" and process.log.exists():
            if process.settler.step() is Pace.CAUGHT_UP:
                # Files are told apart by their first lines: no two lines of Envoy's are the same.
                self.truncations += 1
                process.log.write_bytes(SCRIPT_LOG[1] + b" " * self.truncations + b"\n")
        elif step in ("wait", "lapse"):
            process.clock.now_s += 2 if step == "wait" else 70
        else:
            process.settler.step()


def check(rows, entries, tallies):
    """Compare with what the same lines give when nothing goes wrong."""
    (nameless,) = (key for key in rows if key.startswith("log:"))
    assert rows.keys() - {nameless} == {"s1", "s2", "s3", "s4"}
    assert [row["settle_key"] for row in rows.values() if row["unsettled"]] == ["s3"]
    wanted = {
        "s1": {"prompt_tokens": 7, "uncached_pusd": 5 * 150_000, "gpu": "h100"},
        "s2": {"model": "tiny", "track": "stable", "completion_pusd": 5 * 600_000, "price": books.PRICE},
        "s3": {"project": "only the journal", "energy_mj": 70_700, "cached_pusd": 2 * 75_000},
        "s4": {"user": "u2"},
    }  # fmt: skip
    found = {key: {name: rows[key][name] for name in members} for key, members in wanted.items()}
    assert found == wanted
    nets = defaultdict(int)
    for e in map(books.named, entries):
        nets[e["settle_key"], "requests"] += e["requests"]
        for name in (*AMOUNTS, "unsettled"):
            nets[e["settle_key"], name] += e[name] or 0
    assert nets == {
        (key, name): 1 if name == "requests" else int(row[name] or 0)
        for key, row in rows.items()
        for name in ("requests", *AMOUNTS, "unsettled")
    }
    assert tallies == {key: plain(tally.sums, tally.ttft) for key, tally in add_up(entries).items()}


def plain(sums, histogram):
    return list(sums), {slot: count for slot, count in histogram.items() if count}


steps = st.lists(st.sampled_from(STEPS), max_size=40)


@settings(max_examples=100, deadline=None)
@given(steps=steps)
@example(["log", "truncate", "log", "truncate"])
@example(["log", "log", "log", "down", "truncate", "log", "up", "truncate"])
def test_in_memory(tmp_path_factory, steps):
    ledger = MemoryLedger()
    Script(Process(tmp_path_factory.mktemp("state"), ledger)).play(steps)
    rows = {key: msgspec.structs.asdict(row) for key, row in ledger.all_rows().items()}
    tallies = {key: plain(tally.sums, tally.ttft) for key, tally in ledger.tallies().items()}
    check(rows, ledger.entries(), tallies)


@settings(max_examples=20, deadline=None)
@given(steps=steps)
def test_in_sqlite(tmp_path_factory, steps):
    directory = tmp_path_factory.mktemp("state")
    path = directory / "ledger.sqlite"
    ledger = open_ledger(path)
    Script(Process(directory, ledger)).play(steps)
    ledger.close()
    with books.reading(path) as connection:
        rows = {row["settle_key"]: row for row in connection.execute(select(REQUEST)).mappings()}
    tallies = {
        key: plain(sums, read_histogram(ttft)) for key, (sums, ttft) in books.usage(path).items()
    }
    check(rows, books.entries(path), tallies)


@pytest.mark.parametrize("worst", ["loses", "crash", "down", "full"])
def test_in_postgresql(tmp_path, postgres, worst):
    address = postgres.new_schema()
    ledger = open_ledger(address)
    steps = ["journal", "log", worst, "step"] * 3 + ["lapse", worst, "step", "log", "rotate"] * 3
    Script(Process(tmp_path, ledger)).play(steps)
    ledger.close()
    with books.reading(address) as connection:
        rows = {row["settle_key"]: row for row in connection.execute(select(REQUEST)).mappings()}
    tallies = {
        key: plain(sums, read_histogram(ttft)) for key, (sums, ttft) in books.usage(address).items()
    }
    check(rows, books.entries(address), tallies)
