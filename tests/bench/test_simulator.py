import pytest

from bench.simulator import Reader, Seen, Tally, engine, main, read, report

TRIES = 8
TOKEN = b'data: {"choices":[]}\n\n'


async def test_streams_are_read_as_they_come():
    """What came in the time that was measured, and no more: tried again where the engine stood still."""
    with engine(itl_ms=50) as (pid, port):
        for _ in range(TRIES):
            seen = await read(pid, port, streams=3, seconds=0.5, settle_s=0.3)
            assert (seen.begun, seen.streams) == (3, 3)
            if 3 <= len(seen.late_s) <= 3 * 1.5 * seen.seconds / 0.050 + 3:
                break
        else:
            pytest.fail(f"{len(seen.late_s)} tokens in {seen.seconds} s")
    assert seen.late_s[0] >= 0
    assert 0 <= seen.share < 1
    assert seen.waited_s >= 0


def test_tokens_are_late_after_the_one_that_came_earliest():
    tally = Tally(wanted=1, itl_s=3600.0)
    reader = Reader(b"", tally)
    reader.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    assert tally.begun == 0
    reader.data_received(TOKEN)
    assert tally.begun == 1
    assert tally.all_begun.is_set()
    assert not list(reader.late_s()), "before it counts"
    tally.is_counting = True
    reader.data_received(TOKEN + TOKEN)
    reader.data_received(TOKEN)
    second, third, fourth = reader.late_s()
    assert second - third == pytest.approx(3600)
    assert third - fourth == pytest.approx(3600, abs=60)
    assert fourth == 0, "an hour is between two, and they came at once: the last was the earliest"


def test_a_report_says_what_was_asked_for_and_what_came():
    late_s = [0.001 * number for number in range(100)]
    lines = report(Seen(3, 2, 1.5, 10.0, 0.5, 2.5, late_s), 4)
    assert lines == [
        "3 of 4 streams began, within 1.5 s",
        "2 under way, 10 tokens/s, one per 50 ms each",
        "engine: 5% of a core, 5000.0 us per token",
        "others had the cores it wanted for 25% of the time",
        "late: p50 49.0 ms, p95 94.0 ms, p99 98.0 ms, most 99.0 ms",
    ]


def test_streams_that_do_not_begin_are_a_failure(capsys):
    assert main(["--streams", "2", "--seconds", "0.2"], begin_s=0.0) == 1
    assert "only 0 of 2 streams began within 0 s" in capsys.readouterr().err
