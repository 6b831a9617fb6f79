"""What one request was, and how what was seen of a request becomes that. Pure.

Which numbers can be trusted is written on the row:

    unsettled   No end was seen within the lease. The numbers are the last that Envoy reported
                while the request ran. A late end corrects it.
    cut         The answer did not reach its end: the client left, or the upstream broke off.
                Tokens are those seen until then. The engine may have made a few more.
    estimated   The token columns are not an engine's word: an engine may have worked for this
                request and said nothing about it. The prompt is what the gateway counted, and the
                completion 0 where nothing of it was delivered; all else is NULL, which is "unknown".

A row never changes. What is learned later makes another row with the same settle key; the ledger
then books a reversal of the first and the second behind it (`chain.py`).

Tokens are 0 where it is known that nothing was delivered: refusals, local replies, error answers.
A retry needs no flag: `attempts` is 2 or more. Only the last attempt reported usage.
"""

import msgspec

from ledger.price import BadPriceError, Cost, OwnCost, cost, own_cost
from ledger.sighting import Departure, End, Labels, Origin, Renewal, Sighting, Usage, latest, rank

CLIENT_LEFT = frozenset({"DC", "DR"})
"""Envoy response flags: downstream disconnected, or reset its stream."""

ANSWER_BROKE = frozenset({"UC", "UR", "UPE", "LR", "UT", "SI", "DT", "UMSDR", "OM", "DPE"})
"""Envoy response flags for whatever else ends an answer early: the upstream closed, reset or broke
the protocol, a local reset, a timeout of the request, the stream or its idle time, overload, the
downstream broke the protocol. Before an answer has begun they mean a local reply instead."""

FREE_OPERATIONS = frozenset({"models", "count_tokens", "usage"})
"""Operations that cost no tokens."""

COUNTED_AT_THE_END = frozenset({"messages"})
"""Operations whose streams name the prompt at once and what was generated only in the last event."""

UNTIMED_OPERATIONS = frozenset({"responses", "usage"})
"""Operations of which what Envoy measures is not TTFT: streams that begin with an event long before the
first token, and answers of our own services, which have none."""


class Row(msgspec.Struct, frozen=True):
    """One request. Field order is column order (`tables.py`)."""

    settle_key: str
    start_ms: int
    """When the request arrived: milliseconds since the epoch."""
    request_id: str | None = None
    trace_id: str | None = None
    operation: str | None = None
    tenant: str | None = None
    project: str | None = None
    user: str | None = None
    groups: str | None = None
    """Sorted, joined by commas."""
    region: str | None = None
    key_id: str | None = None
    model: str | None = None
    track: str | None = None
    version: str | None = None
    pool: str | None = None
    cluster: str | None = None
    gpu: str | None = None
    """Kind of GPU of the endpoint."""
    endpoint: str | None = None
    """The last one tried."""
    n: int | None = None
    """Answers asked for; engines count the prompt once for each, and report it once."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    """A part of prompt_tokens; NULL when the engine does not report it."""
    price: str | None = None
    """The price in force, as it came: `price.read_price`."""
    uncached_pusd: int | None = None
    """Cost of the prompt tokens that were not cached: 1e-12 US dollars."""
    cached_pusd: int | None = None
    completion_pusd: int | None = None
    gpu_us: int | None = None
    """By the cost model of the endpoint's labels: `price.own_cost`."""
    energy_mj: int | None = None
    own_pusd: int | None = None
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
        return msgspec.convert(self, Origin, from_attributes=True)

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt_tokens, self.completion_tokens, self.cached_tokens)

    @property
    def has_bad_price(self) -> bool:
        """Tell whether there is a price that nobody can read, and so no cost."""
        try:
            cost(self.price, Usage())
        except BadPriceError:
            return True
        return False


def close(known: Origin, end: End) -> Row:
    """Make the row of a request that is over.

    The end knows almost everything. `known`, from the journal, fills in what a request that died
    in the body phase lost on its way to the access log.
    """
    row = _row(end, known)
    cut = _was_cut(end)
    usage, estimated = _charge(end, row.operation, cut=cut)
    row = _used(row, usage, end.labels)
    return msgspec.structs.replace(
        row,
        status=end.status,
        deny_reason=end.deny_reason,
        latency_us=end.latency_us,
        attempts=end.attempts,
        estimated=estimated,
        cut=cut,
    )


def give_up(known: Origin, seen: Departure | Renewal) -> Row:
    """Make the row of a request whose end never came."""
    row = _used(_row(seen, known), seen.usage, seen.labels)
    estimated = seen.usage.prompt_tokens is None and row.operation not in FREE_OPERATIONS
    return msgspec.structs.replace(
        row,
        unsettled=True,
        estimated=estimated,
        latency_us=seen.latency_us,
        attempts=seen.attempts if isinstance(seen, Renewal) else None,
    )


def improve(row: Row, seen: Departure | Renewal) -> Row:
    """Complete a row by what comes after it: by all of it, if the row is unsettled and knows less."""
    if row.unsettled:
        before = _running(row)
        if rank(before) <= rank(seen):
            return give_up(Origin(), latest(before, seen))
    return _fill(row, seen.origin)


def _running(row: Row) -> Departure | Renewal:
    """Turn an unsettled row back into the sighting it was made from, but for the labels."""
    kind = Departure if row.attempts is None else Renewal
    return kind(
        key=row.settle_key,
        start_ms=row.start_ms,
        origin=row.origin,
        usage=row.usage,
        endpoint=row.endpoint,
        attempts=row.attempts or 0,
        latency_us=row.latency_us,
        ttft_us=row.ttft_us,
    )


def _fill(row: Row, known: Origin) -> Row:
    origin = row.origin.filled_from(known)
    if origin == row.origin:
        return row
    row = msgspec.structs.replace(row, **msgspec.structs.asdict(origin))
    return msgspec.structs.replace(row, **msgspec.structs.asdict(_cost(row)))


def _row(seen: Sighting, known: Origin) -> Row:
    origin = seen.origin.filled_from(known)
    labels = seen.labels or Labels()
    return Row(
        settle_key=seen.key,
        start_ms=seen.start_ms,
        cluster=labels.cluster,
        gpu=labels.gpu,
        endpoint=seen.endpoint,
        ttft_us=None if origin.operation in UNTIMED_OPERATIONS else seen.ttft_us,
        **msgspec.structs.asdict(origin),
    )


def _used(row: Row, usage: Usage, labels: Labels | None) -> Row:
    """Write down tokens and what they cost."""
    row = msgspec.structs.replace(row, **msgspec.structs.asdict(usage))
    own: OwnCost = own_cost(labels, usage)
    return msgspec.structs.replace(
        row, **msgspec.structs.asdict(_cost(row)), **msgspec.structs.asdict(own)
    )


def _cost(row: Row) -> Cost:
    usage = Usage(0, 0, 0) if row.operation in FREE_OPERATIONS else row.usage
    try:
        return cost(row.price, usage)
    except BadPriceError:
        return cost(None, usage)


def _was_cut(end: End) -> bool:
    """Tell whether the client got less than a whole answer.

    When something broke before the engine answered, Envoy answers 4xx or 5xx itself, and that
    answer is whole.
    """
    if end.stopped or end.flags & CLIENT_LEFT:
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
        return _counted(end, nothing_delivered=cut and end.ttft_us is None), True
    return Usage(0, 0, 0), False


def _counted(end: End, *, nothing_delivered: bool) -> Usage:
    """Charge what no engine told by the gateway's own count, if it made one, as limits do. Nobody
    pays for a broken error answer."""
    if end.counted_tokens is None or (end.status or 0) >= 400:
        return end.usage
    completion = 0 if nothing_delivered else end.usage.completion_tokens
    return Usage(end.counted_tokens, completion, end.usage.cached_tokens)
