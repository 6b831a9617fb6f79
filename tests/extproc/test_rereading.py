"""What ended shortly before is found in the log, and settled once more."""

import asyncio
import json
import logging
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from extproc.decision import Outcome
from extproc.rereading import MOST_BYTES, RECENT_S, Rereading, recent_ends

NOW_S = 1_800_000_000.0
USAGE = {"prompt_tokens": 4, "completion_tokens": 3, "cached_tokens": None}


def line(key="k1", *, kind="DownstreamEnd", begun_s=NOW_S - 2, known=None, **members):
    time = datetime.fromtimestamp(begun_s, UTC).isoformat(timespec="milliseconds")
    written = {"type": kind, "time": time.replace("+00:00", "Z"), "endpoint_labels": None}
    written |= {"headgate": {"settle_key": key, "pool": None} if known is None else known}
    written |= {"status": 200, "attempts": 1, "latency_us": 900_000}
    return json.dumps(written | members, ensure_ascii=False)


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


@pytest.fixture
def log(tmp_path):
    """Write lines into a file, as if it had been written to so long ago."""

    def write(*lines, name="access.jsonl", ago_s=0.0):
        path = tmp_path / name
        path.write_bytes(b"".join(as_bytes(each) + b"\n" for each in lines))
        os.utime(path, (NOW_S - ago_s,) * 2)
        return tmp_path / "access.jsonl"

    return write


def found(access_log):
    return [str(end.witness["settle_key"]) for end in recent_ends(access_log, NOW_S - RECENT_S)]


def test_an_end_is_read_as_it_was_told(log):
    known = {
        "settle_key": "k1",
        "reserved_tokens": 5,
        "price": "1/0.5/2",
        "sliced": True,
        "pool": None,
    }
    (end,) = recent_ends(log(line(known=known, usage=USAGE, attempts=2)), NOW_S - RECENT_S)
    del known["pool"]
    told = {"prompt_tokens": 4, "completion_tokens": 3}
    assert end == Outcome(known, 200, 2, (), told)


@pytest.mark.parametrize(
    "text",
    [
        line(kind="DownstreamStart"),
        line(kind="DownstreamPeriodic"),
        line(known={}),
        json.dumps({"type": "DownstreamEnd", "time": "2027-01-15T08:00:00Z", "headgate": None}),
        line(begun_s=NOW_S - 2 * RECENT_S),
        line(begun_s=NOW_S - 2 * RECENT_S, latency_us=1_000_000),
        "",
        "[]",
        '{"type":"Downs',
        '{"type":"Downs' + line(),
        line().replace("Z", "?"),
        "\0" * 20,
        line("kÄ").encode().partition("Ä".encode())[0] + b"\xc3" + line().encode(),
        '{"other":' + 100_000 * "[",
    ],
)
def test_what_tells_of_no_recent_end_is_passed_over(log, text):
    assert found(log(text, line("k2"))) == ["k2"]


def test_what_counts_is_when_it_ended(log):
    long_ago_s = NOW_S - 600
    assert found(log(line(begun_s=long_ago_s, latency_us=599_000_000))) == ["k1"]


def test_when_a_client_left_is_not_told_so_it_may_be_just_now(log):
    assert found(log(line(begun_s=NOW_S - 600, latency_us=None))) == ["k1"]


def test_a_client_that_left_has_no_status(log):
    (end,) = recent_ends(log(line(status=None, attempts=None, usage=None)), NOW_S - RECENT_S)
    assert (end.status, end.attempts, dict(end.usage)) == (0, 0, {})


def test_what_was_just_set_aside_is_read_and_older_files_are_not(log):
    log(line("old"), name="access.jsonl.1799999000000000000", ago_s=RECENT_S + 1)
    log(line("aside"), name="access.jsonl.1799999999000000000")
    log(line("other"), name="other.jsonl")
    assert found(log(line("new"))) == ["new", "aside"]


def test_of_a_long_log_the_end_is_read(log):
    first, pad = line("first"), line("pad", kind="DownstreamStart")
    lines = [first, *[pad] * (MOST_BYTES // len(pad)), line("last")]
    assert found(log(*lines)) == ["last"]


@asynccontextmanager
async def rereading(access_log):
    """Yield it, and what it settles."""
    heard = asyncio.Queue()

    async def settle_again(outcome):
        heard.put_nowait(outcome.witness["settle_key"])

    made = Rereading(access_log, settle_again, lambda: NOW_S)
    async with asyncio.timeout(60):
        running = asyncio.ensure_future(made.run())
        yield made, heard
        running.cancel()


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO)

    async def wait(count):
        async with asyncio.timeout(60):
            while len(caplog.records) < count:  # noqa: ASYNC110 - logging tells nobody
                await asyncio.sleep(0.01)
        return caplog.records

    return wait


async def test_all_are_settled_again_and_counted_each_time_it_is_asked_for(log, logged):
    access_log = log(line("a"), line("b"))
    async with rereading(access_log) as (made, heard):
        made.ask()
        made.ask()
        (record,) = await logged(1)
        assert (record.message, record.requests) == ("ends_reread", 2)
        assert [heard.get_nowait(), heard.get_nowait()] == ["a", "b"]
        assert heard.empty(), "nobody has asked since"
        log(line("c"))
        made.ask()
        assert await heard.get() == "c"


async def test_without_a_log_there_is_nothing_to_do(tmp_path, log):
    async with rereading(tmp_path / "none" / "access.jsonl") as (made, heard):
        made.ask()
        while made._wanted.is_set():  # noqa: ASYNC110 - it has begun to read
            await asyncio.sleep(0.01)
        assert heard.empty()


async def test_a_log_that_cannot_be_read_is_told_of(log, tmp_path, logged):
    (tmp_path / "access.jsonl.1").mkdir()
    os.utime(tmp_path / "access.jsonl.1", (NOW_S, NOW_S))
    async with rereading(log(line("a"))) as (made, heard):
        made.ask()
        told = await logged(2)
        assert [record.message for record in told] == ["ends_not_reread", "ends_reread"]
        assert heard.get_nowait() == "a"
        log(line("b"))
        made.ask()
        assert await heard.get() == "b", "and it goes on"
