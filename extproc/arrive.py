"""Raw headers -> `Request`: who calls what, under which ids."""

import re
import secrets
import time
from collections.abc import Mapping, Sequence

from extproc.limits.patience import TIMEOUTS
from extproc.request import Request

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, version 00. An invalid one must be ignored and a new trace begun."""

HEADERS = (
    *(":method", ":path", "x-request-id", "traceparent"),
    *("authorization", "x-api-key", "x-tenant-id", "x-project-id", "x-routing-strategy"),
    *("x-session-affinity", "x-claude-code-session-id", "session-id"),
    *("x-headgate-explain", "cache-control"),
    *("content-type", "content-encoding", "content-length"),
    *TIMEOUTS,
)
"""All that workers read. Envoy shows them nothing else: it is private, and it is cheaper."""

REQUEST_ID_LENGTH = 256
"""What is kept of a client's request id: it is written down with every request."""


def arrive(
    pairs: Sequence[tuple[str, str]],
    client_ip: str = "",
    claims: Mapping[str, object] | None = None,
) -> Request:
    """Build the request as far as its headers tell. Names are lower case, as HTTP/2 sends them.

    A header that comes twice is joined by a comma: a second credential makes the value invalid
    rather than ignored.
    """
    headers = dict(pairs)
    if len(headers) < len(pairs):
        headers = join(pairs)
    given = headers.get("traceparent", "")
    random = secrets.token_hex(34)  # one system call for all that is made here
    return Request(
        settle_key=mint_settle_key(random[:20]),
        request_id=headers.get("x-request-id", "")[:REQUEST_ID_LENGTH],
        traceparent=given if TRACEPARENT.fullmatch(given) else mint_traceparent(random[20:]),
        method=headers.get(":method", ""),
        path=headers.get(":path", "").partition("?")[0],
        headers=headers,
        client_ip=client_ip,
        claims=claims,
    )


def join(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def mint_settle_key(random: str) -> str:
    """Make a key no client can guess or repeat: 48 bits of time in ms, then 80 random bits in hex.

    The time in front keeps rows that are written together together in the ledger's index.
    """
    return f"{time.time_ns() // 1_000_000:012x}{random}"


def mint_traceparent(random: str) -> str:
    """Begin a trace, with 24 random bytes in hex. Sampled, because whoever collects traces can still
    drop it."""
    return f"00-{random[:32]}-{random[32:]}-01"
