import os
import subprocess
import sys
import time

import pytest

from bench.procfs import (
    TICKS_PER_S,
    cpu_s,
    parse_cpu_s,
    parse_rss_bytes,
    parse_waited_s,
    rss_bytes,
    waited_s,
)

STAT = (
    "4711 ({name}) S 1 4711 4711 0 -1 4194304 121 0 0 0 {utime} {stime} 8 9 20 0 1 0 216935 31 41"
)


@pytest.mark.parametrize("name", ["envoy", "wrk:worker 1", "a) S 1 (b", ""])
def test_user_and_system_time_are_found_behind_any_command(name):
    assert parse_cpu_s(STAT.format(name=name, utime=250, stime=50)) == 300 / TICKS_PER_S


def test_resident_memory_is_in_bytes():
    status = "Name:\tenvoy\nVmPeak:\t  900 kB\nVmRSS:\t   64 kB\nThreads:\t7\n"
    assert parse_rss_bytes(status) == 65_536


def test_a_process_that_ended_has_no_memory():
    with pytest.raises(ValueError, match="ended"):
        parse_rss_bytes("Name:\tgone\nState:\tZ (zombie)\n")


def test_a_real_process_is_read():
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        until = time.monotonic() + 10
        while not (found := cpu_s({"child": child.pid, "self": os.getpid()}))["child"]:
            assert time.monotonic() < until
            time.sleep(0.02)
        assert found["self"] > 0
        assert rss_bytes(child.pid) > 1 << 20
    finally:
        child.kill()
        child.wait()


def test_a_process_that_is_gone_is_an_error():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    with pytest.raises(OSError, match="No such file"):
        cpu_s({"gone": child.pid})


def test_waiting_for_a_core_is_the_second_figure():
    assert parse_waited_s("4200000000 1500000000 77\n") == 1.5
    assert waited_s(os.getpid()) >= 0
