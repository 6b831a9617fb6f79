"""One line of the ledger, and how what was seen of a request becomes one. Pure.

Which numbers can be trusted is written on the row:

    unsettled   No end was seen within the lease. The numbers are the last that Envoy reported
                while the request ran. A late end replaces the row.
    cut         The answer did not reach its end: the client left, or the upstream broke off.
                Tokens are those seen until then. The engine may have made a few more.
    estimated   The token columns are not an engine's word: an engine may have worked for this
                request and said nothing about it. They are NULL, which is "unknown", never 0.

Tokens are 0 where it is known that nothing was delivered: refusals, local replies, error answers.
A retry needs no flag: `attempts` is 2 or more. Only the last attempt reported usage.
"""

import msgspec

from ledger.sighting import Departure, End, Origin, Renewal, Sighting, Usage

CLIENT_LEFT = frozenset({"DC", "DR"})
"""Envoy response flags: downstream disconnected, or reset its stream."""

ANSWER_BROKE = frozenset({"UC", "UR", "UPE", "LR", "UT", "SI", "DT", "UMSDR", "OM", "DPE"})
"""Envoy response flags for whatever else ends an answer early: the upstream closed, reset or broke
the protocol, a local reset, a timeout of the request, the stream or its idle time, overload, the
downstream broke the protocol. Before an answer has begun they mean a local reply instead."""

FREE_OPERATIONS = frozenset({"models", "count_tokens"})
"""Operations that cost no tokens."""

COUNTED_AT_THE_END = frozenset({"messages"})
"""Operations whose streams name the prompt at once and what was generated only in the last event."""

UNTIMED_OPERATIONS = frozenset({"responses"})
"""Operations whose streams begin with an event that comes long before the first token: what Envoy
measures is not TTFT."""


class Row(msgspec.Struct, frozen=True):
    """One request. Field order is column order (`schema.sql`)."""

    settle_key: str
    start_ms: int
    """When the request arrived: milliseconds since the epoch."""
    request_id: str | None = None
    trace_id: str | None = None
    operation: str | None = None
    tenant: str | None = None
    project: str | None = None
    user: str | None = None
    key_id: str | None = None
    model: str | None = None
    pool: str | None = None
    endpoint: str | None = None
    """The last one tried."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """A part of prompt_tokens; NULL when the engine does not report it."""
    status: int | None = None
    """0 when the client left before an answer; NULL when unsettled."""
    deny_reason: str | None = None
    ttft_us: int | None = None
    latency_us: int | None = None
    attempts: int | None = None
    unsettled: bool = False
    estimated: bool = False
    cut: bool = False
    policy: str | None = None
    """Content hash of the policy that decided."""

    @property
    def origin(self) -> Origin:
        return Origin(
            self.request_id,
            self.trace_id,
            self.operation,
            self.tenant,
            self.project,
            self.user,
            self.key_id,
            self.model,
            self.pool,
            self.policy,
        )


def close(known: Origin, end: End) -> Row:
    """Make the row of a request that is over.

    The end knows almost everything. `known`, from the journal, fills in what a request that died
    in the body phase lost on its way to the access log.
    """
    row = _row(end, known)
    cut = _was_cut(end)
    usage, estimated = _charge(end, row.operation, cut=cut)
    return msgspec.structs.replace(
        row,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        status=end.status,
        deny_reason=end.deny_reason,
        latency_us=end.latency_us,
        attempts=end.attempts,
        estimated=estimated,
        cut=cut,
    )


def give_up(known: Origin, seen: Departure | Renewal) -> Row:
    """Make the row of a request whose end never came."""
    row = _row(seen, known)
    estimated = seen.usage.prompt_tokens is None and row.operation not in FREE_OPERATIONS
    return msgspec.structs.replace(
        row,
        unsettled=True,
        estimated=estimated,
        latency_us=seen.latency_us,
        attempts=seen.attempts if isinstance(seen, Renewal) else None,
    )


def running(row: Row) -> Departure | Renewal:
    """Turn an unsettled row back into the sighting it was made from."""
    kind = Departure if row.attempts is None else Renewal
    return kind(
        key=row.settle_key,
        start_ms=row.start_ms,
        origin=row.origin,
        usage=Usage(row.prompt_tokens, row.completion_tokens, row.cached_tokens),
        endpoint=row.endpoint,
        attempts=row.attempts or 0,
        latency_us=row.latency_us,
        ttft_us=row.ttft_us,
    )


def fill(row: Row, known: Origin) -> Row:
    """Complete a row by what the journal knows of the origin, when it comes after the end."""
    origin = row.origin.filled_from(known)
    if origin == row.origin:
        return row
    return msgspec.structs.replace(row, **msgspec.structs.asdict(origin))


def _row(seen: Sighting, known: Origin) -> Row:
    origin = seen.origin.filled_from(known)
    return Row(
        settle_key=seen.key,
        start_ms=seen.start_ms,
        request_id=origin.request_id,
        trace_id=origin.trace_id,
        operation=origin.operation,
        tenant=origin.tenant,
        project=origin.project,
        user=origin.user,
        key_id=origin.key_id,
        model=origin.model,
        pool=origin.pool,
        endpoint=seen.endpoint,
        prompt_tokens=seen.usage.prompt_tokens,
        completion_tokens=seen.usage.completion_tokens,
        cached_tokens=seen.usage.cached_tokens,
        ttft_us=None if origin.operation in UNTIMED_OPERATIONS else seen.ttft_us,
        policy=origin.policy,
    )


def _was_cut(end: End) -> bool:
    """Tell whether the client got less than a whole answer.

    When something broke before the engine answered, Envoy answers 4xx or 5xx itself, and that
    answer is whole.
    """
    if end.flags & CLIENT_LEFT:
        return True
    local_reply = (end.status or 0) >= 400 and "after_response_started" not in end.details
    return bool(end.flags & ANSWER_BROKE) and not local_reply


def _charge(end: End, operation: str | None, *, cut: bool) -> tuple[Usage, bool]:
    """Decide the token columns, and whether they are `estimated`."""
    said = end.usage
    if said.prompt_tokens is not None:
        if cut and operation in COUNTED_AT_THE_END and not said.completion_tokens:
            return Usage(said.prompt_tokens, None, said.cached_tokens), True
        # Embeddings have no completion.
        return Usage(said.prompt_tokens, said.completion_tokens or 0, said.cached_tokens), False
    tried = end.attempts > 0 or end.endpoint is not None
    delivered = cut or 200 <= (end.status or 0) < 300
    may_cost = end.deny_reason is None and operation not in FREE_OPERATIONS
    if tried and delivered and may_cost:
        return said, True
    return Usage(0, 0, 0), False
