"""What ended shortly before is found in the log, and settled once more."""

import json
import logging
import os
from datetime import UTC, datetime

import pytest

from extproc.decision import Outcome
from extproc.rereading import MOST_BYTES, RECENT_S, recent_ends, reread

NOW_S = 1_800_000_000.0
USAGE = {"prompt_tokens": 4, "completion_tokens": 3, "cached_tokens": None}


def line(key="k1", *, kind="DownstreamEnd", begun_s=NOW_S - 2, known=None, **members):
    time = datetime.fromtimestamp(begun_s, UTC).isoformat(timespec="milliseconds")
    written = {"type": kind, "time": time.replace("+00:00", "Z"), "endpoint_labels": None}
    written |= {"headgate": {"settle_key": key, "pool": None} if known is None else known}
    return json.dumps(written | {"status": 200, "attempts": 1} | members)


@pytest.fixture
def log(tmp_path):
    """Write lines into a file, as if it had been written to so long ago."""

    def write(*lines, name="access.jsonl", ago_s=0.0):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
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
    ],
)
def test_what_tells_of_no_recent_end_is_passed_over(log, text):
    assert found(log(text, line("k2"))) == ["k2"]


def test_what_counts_is_when_it_ended(log):
    long_ago_s = NOW_S - 600
    assert found(log(line(begun_s=long_ago_s, latency_us=599_000_000))) == ["k1"]


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


async def settled(access_log):
    heard = []

    async def settle_again(outcome):
        heard.append(outcome.witness["settle_key"])

    await reread(access_log, NOW_S, settle_again)
    return heard


async def test_all_are_settled_again_and_counted(log, caplog):
    caplog.set_level(logging.INFO)
    assert await settled(log(line("a"), line("b"))) == ["a", "b"]
    assert [(r.message, r.requests) for r in caplog.records] == [("ends_reread", 2)]


async def test_without_a_log_there_is_nothing_to_do(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert await settled(tmp_path / "access.jsonl") == []
    assert await settled(tmp_path / "none" / "access.jsonl") == []
    assert caplog.records == []


async def test_a_log_that_cannot_be_read_is_told_of(log, tmp_path, caplog):
    (tmp_path / "access.jsonl.1").mkdir()
    os.utime(tmp_path / "access.jsonl.1", (NOW_S, NOW_S))
    assert await settled(log(line("a"))) == ["a"]
    assert [r.message for r in caplog.records] == ["ends_not_reread"]
