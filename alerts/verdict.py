"""What a receiver's answer means. Pure.

WeCom and DingTalk answer 200 whatever happened, and say it in `errcode`.
"""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

Result = Literal["delivered", "later", "refused"]

LONGEST_WAIT_S = 3600.0
"""Whatever `Retry-After` asks for: an alert that comes an hour late is late enough."""
LIMITED_WAIT_S = 600.0
"""How long DingTalk refuses everything once its limit was passed."""

_TOO_FAST = frozenset({45009, 45033, 90030, 130101, 410100})
"""WeCom: 45009 and 45033, calls beyond a limit. DingTalk: 90030, 130101, 410100."""
_BUSY = frozenset({-1})
"""Both: the system is busy, try again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`later`: the same message may succeed; `refused`: it never will."""

    result: Result
    reason: str = ""
    wait_s: float = 0.0
    """How long the receiver wants to be left alone; 0 when it does not say."""


class _Answer(msgspec.Struct):
    errcode: int = 0


_decode = msgspec.json.Decoder(_Answer).decode


def judge(status: int, body: bytes, retry_after: str | None, now_s: float) -> Verdict:
    """Judge an answer. `now_s`: seconds since the epoch, for a `Retry-After` that is a date."""
    wait_s = read_retry_after(retry_after, now_s)
    if status in (408, 429) or status >= 500:
        return Verdict("later", f"status {status}", wait_s)
    if not 200 <= status < 300:
        return Verdict("refused", f"status {status}")
    try:
        code = _decode(body).errcode
    except (msgspec.MsgspecError, UnicodeDecodeError):
        code = 0  # Slack answers `ok`, others whatever they like
    if code in _TOO_FAST:
        return Verdict("later", f"errcode {code}", wait_s or LIMITED_WAIT_S)
    if code in _BUSY:
        return Verdict("later", f"errcode {code}", wait_s)
    return Verdict("refused", f"errcode {code}") if code else Verdict("delivered")


def read_retry_after(text: str | None, now_s: float) -> float:
    """Read seconds or a date (RFC 9110 10.2.3); 0 when there is nothing sensible."""
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        wait_s = float(text[:9])
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, OverflowError):  # the second for a year of twenty digits
            return 0.0
        wait_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s
    return min(max(wait_s, 0.0), LONGEST_WAIT_S)
