"""The duty, turn by turn: a real ledger, an engine that counts what it is told to."""

import asyncio
import contextlib
import time

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from alerts import outbox
from alerts.alert import Kind
from alerts.outbox import Outbox
from ledger.config import Config, Drift, Endpoint
from ledger.database import open_database
from ledger.disagreement import Teller
from ledger.lookbook import read_look
from ledger.reconciling import Reconciling
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change
from telemetry.metrics import SettleMetrics


class Engine:
    """Counters that a test moves."""

    def __init__(self):
        self.prompt = self.completion = 0
        self.started_s = time.time() - 3600
        self.is_silent = False

    async def metrics(self, _request):
        return web.Response(
            status=503 if self.is_silent else 200,
            text=f"vllm:prompt_tokens_total {self.prompt}\n"
            f"vllm:generation_tokens_total {self.completion}\n"
            f"process_start_time_seconds {self.started_s}\n",
        )


class Bench:
    """One ledger, one engine, and the duty that compares them."""

    def __init__(self, where, tmp_path, stack):
        self.where, self.engine, self.rows = where, Engine(), 0
        self.ledger = stack.enter_context(contextlib.closing(open_ledger(where)))
        self.reader = stack.enter_context(contextlib.closing(open_database(where)))
        self.writer = stack.enter_context(contextlib.closing(open_database(where, writes=True)))
        self.alerts = tmp_path / "alerts"
        self.settled_s = float("inf")
        self.config = Config(drift=Drift(tokens=10, share=0, for_s=0), reconcile_interval_s=7)
        self.restart()

    def restart(self):
        """A new settle process on the same ledger."""
        self.registry = CollectorRegistry()
        self.duty = Reconciling(
            self.reader,
            self.writer,
            lambda: self.config,
            lambda: self.settled_s,
            Teller(Outbox(self.alerts), SettleMetrics(self.registry)),
        )

    def book(self, prompt, completion, *, ago_ms=3000, **members):
        """Book a request, and let the engine have counted it."""
        self.engine.prompt += prompt
        self.engine.completion += completion
        self.rows += 1
        now_ms = time.time_ns() // 1_000_000
        members = {"pool": "p", "endpoint": self.address, "latency_us": 100_000, **members}
        row = Row(
            f"s{self.rows}",
            now_ms - ago_ms,
            prompt_tokens=prompt,
            completion_tokens=completion,
            **members,
        )
        self.ledger.commit(Change([row], booked_ms=now_ms))

    async def turn(self, times=1):
        for _ in range(times):
            await asyncio.to_thread(self.duty.run)

    def drift(self, kind="prompt"):
        return self.value("ledger_drift_tokens", kind=kind)

    def cause(self, name):
        return self.value("unattributed_tokens", cause=name)

    def value(self, name, **labels):
        labels = {"endpoint": self.address, **labels}
        return self.registry.get_sample_value(f"headgate_{name}", labels)

    def told(self):
        return [alert.kind for alert in outbox.read_all(self.alerts)]


@pytest.fixture
async def bench(where, tmp_path):
    with contextlib.ExitStack() as stack:
        made = Bench(where, tmp_path, stack)
        app = web.Application()
        app.router.add_get("/metrics", made.engine.metrics)
        async with TestServer(app) as server:
            made.address = f"127.0.0.1:{server.port}"
            made.config = Config(
                endpoints=(Endpoint(made.address, "p"),),
                drift=made.config.drift,
                reconcile_interval_s=7,
            )
            yield made


async def begin(bench):
    """Two looks a while ago: an era that began before anything is booked."""
    await bench.turn(2)
    for trail in bench.duty._trails.values():
        era = trail.last.era
        assert era.base.prompt_tokens == bench.engine.prompt
    backdate(bench)


def backdate(bench, ms=60_000):
    """Let the era have begun a minute ago, so that what is booked now belongs to it."""
    with bench.writer.transaction() as connection:
        for (look,) in connection.execute(text("SELECT look FROM engine_look")).all():
            connection.execute(
                text("UPDATE engine_look SET look = :new"), {"new": shifted(look, ms)}
            )
    bench.restart()


def shifted(look, ms):
    read = read_look(look)
    era = msgspec.structs.replace(
        read.era, after_ms=read.era.after_ms - ms, before_ms=read.era.before_ms - ms
    )
    return msgspec.json.encode(
        msgspec.structs.replace(read, era=era, at_ms=read.at_ms - ms)
    ).decode()


async def test_what_agrees_is_silent(bench):
    assert bench.duty.every_s == 7
    bench.engine.prompt, bench.engine.completion = 70_000, 90_000  # before anybody looked
    await begin(bench)
    bench.book(100, 50)
    bench.book(30, 7)
    await bench.turn(2)
    assert (bench.drift(), bench.drift("completion"), bench.cause("unknown")) == (0, 0, 0)
    assert bench.told() == []
    assert time.time() - bench.value("reconciled_timestamp_seconds") < 60


async def test_what_is_missing_is_told(bench):
    await begin(bench)
    bench.book(100, 50)
    bench.engine.prompt += 5_000
    await bench.turn(2)
    assert bench.cause("unknown") == 5_000
    assert bench.told() == [Kind.UNATTRIBUTED]


async def test_an_entry_that_is_changed_afterwards_shows(bench):
    await begin(bench)
    bench.book(100, 50)
    bench.book(100, 50)
    await bench.turn(2)
    assert bench.drift("completion") == 0
    with bench.writer.transaction() as connection:
        sqlite = connection.dialect.name == "sqlite"
        trigger = "DROP TRIGGER entry_is_final" + ("" if sqlite else " ON entry")
        connection.execute(text(trigger))
        connection.execute(text("UPDATE entry SET completion_tokens = 1050 WHERE seq = 1"))
    await bench.turn(2)
    assert bench.drift("completion") == 1000
    assert bench.told() == [Kind.LEDGER_DRIFT]


async def test_a_restart_goes_on_where_it_was(bench):
    await begin(bench)
    bench.book(100, 50)
    await bench.turn(2)
    bench.restart()
    bench.book(30, 7)
    bench.engine.completion += 2_000
    await bench.turn(2)
    assert (bench.drift(), bench.cause("unknown")) == (0, 2_000)


async def test_nothing_is_judged_before_it_is_settled(bench):
    """However long it takes: the scrape waits for it."""
    await begin(bench)
    bench.engine.prompt += 5_000  # its row is not there yet
    bench.settled_s = time.time() - 5
    await bench.turn(3)
    assert bench.cause("unknown") is None
    bench.engine.prompt -= 5_000
    bench.book(5_000, 0)
    await bench.turn(3)
    assert bench.cause("unknown") is None
    bench.settled_s = float("inf")
    await bench.turn()
    assert bench.cause("unknown") == 0


async def test_an_engine_that_starts_anew(bench, caplog):
    await begin(bench)
    bench.book(100, 50)
    await bench.turn(2)
    bench.engine.prompt = bench.engine.completion = 0
    bench.engine.started_s = time.time()
    await bench.turn(2)
    assert "witness_reset" in [record.msg for record in caplog.records]
    assert (bench.drift(), bench.cause("unknown")) == (0, 0)


async def test_what_an_engine_does_before_its_last_life_is_judged_is_no_mystery(bench):
    """A look is judged a turn late: by then the next life may have served, and been booked."""
    await begin(bench)
    bench.book(100, 50)
    await bench.turn()  # the last look at this life
    await asyncio.sleep(0.1)
    bench.engine.prompt = bench.engine.completion = 0
    bench.engine.started_s = time.time()
    bench.book(5_000, 3_000, ago_ms=50, latency_us=10_000)
    await bench.turn(3)
    assert (bench.drift(), bench.cause("unknown")) == (0, 0)


async def test_an_engine_that_is_silent_is_met_again(bench, caplog):
    bench.engine.is_silent = True
    await bench.turn(3)
    assert [r.msg for r in caplog.records] == ["witness_silent"]
    bench.engine.is_silent = False
    await begin(bench)
    bench.book(1, 1)
    await bench.turn(2)
    assert bench.drift() == 0


async def test_without_endpoints_there_is_nothing_to_do(bench):
    await bench.turn(2)
    assert bench.value("reconciled_timestamp_seconds") is not None
    bench.config = Config()
    await bench.turn(3)
    assert bench.told() == []
    assert bench.value("reconciled_timestamp_seconds") is None
