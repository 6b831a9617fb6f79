"""Lines as Envoy and the workers write them, for tests; any member can be replaced."""

import json
from datetime import UTC, datetime

START_MS = 1_760_000_000_000
WHO = {
    "operation": "chat",
    "tenant": "acme",
    "project": "support",
    "user": "u1",
    "key_id": "k1",
    "policy": "p0",
}
WHAT = {"model": "tiny", "pool": "tiny-v1", "stream": True}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "cached_tokens": 2}
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def rfc3339(epoch_ms):
    time = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_line(key="s1", *, start_ms=START_MS, said=None, **members):
    """One access log line; `said` replaces the headgate namespace, `members` the rest."""
    line = {
        "type": "DownstreamEnd",
        "time": rfc3339(start_ms),
        "request_id": "r1",
        "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01",
        "method": "POST",
        "path": "/v1/chat/completions",
        "protocol": "HTTP/1.1",
        "status": 200,
        "flags": "-",
        "details": "via_upstream",
        "latency_us": 900_000,
        "ttft_us": 120_000,
        "attempts": 1,
        "endpoint": "10.0.0.1:8000",
        "bytes_in": 100,
        "bytes_out": 1000,
        "headgate": {"settle_key": key, **WHO, **WHAT} if said is None else said,
        "usage": USAGE,
    }
    return json.dumps(line | members).encode()


def end(key="s1", **members):
    return log_line(key, **members)


def periodic(key="s1", **members):
    changed = {"type": "DownstreamPeriodic", "latency_us": None, "flags": "-"}
    return log_line(key, **(changed | members))


def anonymous(**members):
    """The end of a request that ext_proc never answered for."""
    nothing = {"headgate": None, "usage": None, "status": 500, "endpoint": None, "attempts": 0}
    return log_line(**(nothing | members))


def entry(key="s1", *, at=START_MS / 1000, **members):
    """One journal line."""
    ids = {"request_id": "r1", "trace_id": TRACE_ID}
    return json.dumps({"at": at, "settle_key": key, **ids, **WHO, **WHAT, **members}).encode()
