"""Envoy's JSON access log, read as testimony.

A line is the end of a request, word that it still runs, or of no interest. Reading is forgiving:
a member that is missing or of a wrong type is unknown, and the rest of the line still counts,
because a line that is dropped is a request that nobody pays for.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import cast

import msgspec

from ledger.price import MAX_TOKENS
from ledger.sighting import MAX_N, End, Labels, Origin, Renewal, Usage, clean, join_groups

MAX_COUNT = 2**53
"""Larger numbers are nonsense (and JSON numbers are doubles): unknown rather than billed."""

MAX_AHEAD_MS = 24 * 3600 * 1000
"""A start further ahead of our clock is nonsense, and nobody would find the request in its month."""

_SALVAGE_TRIES = 64
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class BadLineError(ValueError):
    """A line that is no log entry and holds none at its end."""


Members = Mapping[str, object]
_NOTHING: Members = {}
_KINDS: Mapping[str, type[End | Renewal]] = {
    "DownstreamEnd": End,
    "DownstreamPeriodic": Renewal,
}


def read_line(line: bytes, place: str, now_ms: int) -> End | Renewal | None:
    """Read one line; None when it is of another type, such as the start of a request.

    `place` is `file:offset`. A request without metadata, one that died before ext_proc answered,
    is known by its line and the offset: a copy of the log tells of no other. `now_ms` stands in for a missing or absurd start.
    Raises BadLineError. Cost: about 12 us.
    """
    members = _object(line)
    kind = _KINDS.get(str(members["type"]))
    if kind is None:
        return None
    said = _members(members, "headgate")
    if kind is Renewal and not said:
        return None  # nobody has decided yet, so there is no lease to renew
    start_ms = _epoch_ms(_text(members, "time"))
    return kind(
        key=_text(said, "settle_key") or _key(line, place),
        start_ms=now_ms if start_ms is None or start_ms > now_ms + MAX_AHEAD_MS else start_ms,
        origin=_origin(members, said),
        usage=_usage(_members(members, "usage")),
        status=_count(members, "status"),
        deny_reason=_text(said, "deny"),
        flags=frozenset((_text(members, "flags") or "").split(",")) - {"", "-"},
        details=_text(members, "details") or "",
        endpoint=_text(members, "endpoint"),
        labels=_labels(_members(members, "endpoint_labels")),
        attempts=_count(members, "attempts") or 0,
        latency_us=_count(members, "latency_us"),
        ttft_us=_count(members, "ttft_us"),
        counted_tokens=_count(said, "prompt_estimate", MAX_TOKENS),
        stopped=said.get("stopped") is True,
    )


def _key(line: bytes, place: str) -> str:
    """Name a line by what it says and how far into its file it stands, whatever the file is called."""
    offset = place.rpartition(":")[2]
    return "log:" + blake2b(line + b"\n" + offset.encode(), digest_size=16).hexdigest()


def _origin(members: Members, said: Members) -> Origin:
    return Origin(
        _text(members, "request_id"),
        _text(said, "trace_id") or _trace_id(_text(members, "traceparent")),
        _text(said, "operation"),
        _text(said, "tenant"),
        _text(said, "project"),
        _text(said, "user"),
        _groups(said.get("groups")),
        _text(said, "region"),
        _text(said, "key_id"),
        _text(said, "model"),
        _text(said, "track"),
        _text(said, "version"),
        _text(said, "pool"),
        _count(said, "n", MAX_N) or None,
        _text(said, "price"),
        _text(said, "policy"),
    )


def _usage(said: Members) -> Usage:
    return Usage(
        _count(said, "prompt_tokens", MAX_TOKENS),
        _count(said, "completion_tokens", MAX_TOKENS),
        _count(said, "cached_tokens", MAX_TOKENS),
    )


def _groups(value: object) -> str | None:
    """Read a list of names, or names joined by commas; they come out sorted and joined."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list):
        return None
    return join_groups(name for name in cast("list[object]", value) if isinstance(name, str))


def _labels(said: Members) -> Labels | None:
    if not said:
        return None
    return Labels(
        _text(said, "cluster"),
        _text(said, "gpu"),
        _number(said, "gpus"),
        _number(said, "watts"),
        _number(said, "usd_per_gpu_hour"),
        _number(said, "usd_per_kwh"),
        _number(said, "prefill_tokens_per_s"),
        _number(said, "decode_tokens_per_s"),
    )


def _number(members: Members, name: str) -> str | None:
    """Read a number, or a text that should be one, as text."""
    value = members.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _text(members, name)


def _object(line: bytes) -> Members:
    """Decode the log entry in `line`, or the one that ends it.

    An Envoy that was killed leaves a torn line, and its successor writes on behind it:
    `{"type":"Downs{"type":"DownstreamEnd",...}`. The second object must not share the fate of
    the first. Only the start of a whole object decodes up to the end of the line.
    """
    decoded = _decoded(line)
    start = 0
    tries = _SALVAGE_TRIES
    while decoded is None and tries and (start := line.find(b'{"', start + 1)) > 0:
        decoded = _decoded(line[start:])
        tries -= 1
    if decoded is None:
        raise BadLineError("no JSON object with a type")
    return decoded


def _decoded(line: bytes) -> Members | None:
    try:
        decoded: object = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None
    return cast("Members", decoded) if isinstance(decoded, dict) and "type" in decoded else None


def _members(members: Members, name: str) -> Members:
    value = members.get(name)
    return cast("Members", value) if isinstance(value, dict) else _NOTHING


def _text(members: Members, name: str) -> str | None:
    value = members.get(name)
    return clean(value) if isinstance(value, str) and value else None


def _count(members: Members, name: str, most: int = MAX_COUNT) -> int | None:
    """Read a number that counts something; metadata numbers are doubles, so 12.0 is 12."""
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= most else None


def _epoch_ms(text: str | None) -> int | None:
    try:
        start = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if start.tzinfo is None else round(start.timestamp() * 1000)


def _trace_id(traceparent: str | None) -> str | None:
    """Take the trace id out of W3C `version-traceid-spanid-flags`."""
    fields = (traceparent or "").split("-")
    return fields[1] if len(fields) >= 4 and _TRACE_ID.fullmatch(fields[1]) else None
