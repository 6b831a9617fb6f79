import pytest

from bench.load import parse
from bench.measure import BenchError, measure, options, pid_flags


def test_flags_are_those_of_the_generator():
    flags = options(connections=16, rate=200, warmup_s=0.5, seconds=1.5)
    load = parse(["open", "--port=8080", *flags, *pid_flags({"envoy": 7, "worker": 8})])
    assert (load.mode, load.port, load.connections, load.rate) == ("open", 8080, 16, 200.0)
    assert (load.warmup_s, load.seconds, load.requests) == (0.5, 1.5, 0)
    assert load.pids == {"envoy": 7, "worker": 8}


async def test_a_run_that_fails_says_why():
    with pytest.raises(BenchError, match="No such file"):
        await measure(0, {"gone": 2**22 + 1}, "idle", [], b"")


async def test_a_run_comes_back_as_a_sample():
    sample = await measure(0, {}, "idle", options(seconds=0.01), b"")
    assert sample.requests == 0
    assert "load" in sample.cpu_s
