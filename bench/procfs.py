"""CPU time and memory of a process, from proc(5)."""

import os
from collections.abc import Mapping
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
"""100 on Linux. Times are rounded to a tick: a second of measuring is good to about one percent."""


def parse_cpu_s(stat: str) -> float:
    """User and system time of all threads, in seconds, from the text of /proc/PID/stat.

    Fields are counted from behind the command, which is in brackets and may hold any character.
    """
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S  # utime, stime


def parse_rss_bytes(status: str) -> int:
    """Resident memory, from the text of /proc/PID/status. Raises: ValueError."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ValueError("there is no VmRSS: the process has ended")


def cpu_s(pids: Mapping[str, int]) -> dict[str, float]:
    """Raises: OSError when one of them is gone."""
    return {name: parse_cpu_s(Path(f"/proc/{pid}/stat").read_text()) for name, pid in pids.items()}


def parse_waited_s(schedstat: str) -> float:
    """How long a thread could have run and had to wait, in seconds, from /proc/PID/schedstat."""
    return int(schedstat.split()[1]) / 1e9


def waited_s(pid: int) -> float:
    """Of the main thread. Raises: OSError when it is gone, or the kernel counts no such thing."""
    return parse_waited_s(Path(f"/proc/{pid}/schedstat").read_text())


def rss_bytes(pid: int) -> int:
    """Raises: OSError, ValueError."""
    return parse_rss_bytes(Path(f"/proc/{pid}/status").read_text())
