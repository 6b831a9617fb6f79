"""How long somebody may wait: by what limits allow, and by what clients say."""

import math
import re
from collections.abc import Mapping

from extproc.limits.base import Algorithm, Verdict

TIMEOUTS = ("x-request-timeout", "x-stainless-read-timeout", "x-stainless-timeout")
"""Headers in which clients say, in seconds, how long they wait for us. The second comes from the Python
SDKs of OpenAI and Anthropic, the third from their SDKs for JavaScript, which leave fractions out; that
of Anthropic's for Python may hold words (`_base_client.py`, `client.ts`)."""
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
LEAST_S = 0.005
"""Between two times that one asks without having been called."""


def read_client_s(headers: Mapping[str, str]) -> float:
    """Find how long a client has patience: the least it says, infinite when it does not."""
    said = (headers.get(name, "") for name in TIMEOUTS)
    return min((float(text) for text in said if SECONDS.fullmatch(text)), default=math.inf)


def patience_s(verdict: Verdict) -> float:
    """How long a request may wait for the limits that refuse it: 0 if one of them has no line, or if
    they cannot be asked."""
    if verdict.degraded == "deny":
        return 0.0
    return min((one.limit.wait_s for one in verdict.blocking), default=0.0)


def time_s(verdict: Verdict) -> float:
    """How long until time alone may have made room; places in semaphores come by calls."""
    waits = (
        one.retry_after_s or 0.0
        for one in verdict.blocking
        if one.limit.algorithm is not Algorithm.SEMAPHORE
    )
    return max(LEAST_S, max(waits, default=math.inf))
