"""How long counters remember, wherever they are kept: one answer for all of them, so that they agree."""

import time

from extproc.limits.base import LONGEST_LEASE_S
from extproc.limits.rate import SECOND_US

OPEN_US = 24 * 3600 * SECOND_US
"""Within this a request can be settled, and for as long as its limits remember it if that is more."""
SETTLED_US = 600 * SECOND_US
"""How long a settled request is remembered: a repeated call comes within seconds."""
EARLY_US = 3600 * SECOND_US
"""How long a settlement waits for its reservation, which an outage may have held up."""


def lease_us(lease_s: float) -> int:
    """At most `LONGEST_LEASE_S`."""
    return round(min(lease_s, LONGEST_LEASE_S) * SECOND_US)


def read_clock_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
