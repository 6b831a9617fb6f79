"""How counters in Redis are told what to do: numbers packed as `counters_record.lua` reads them."""

import struct
from collections.abc import Iterator, Sequence

from extproc.limits.answers import Row
from extproc.limits.base import Limit, Place, Settled, Spent, Ticket, Unit, has_line
from extproc.limits.bucket import BucketRule
from extproc.limits.budget import BudgetRule
from extproc.limits.queue import name_of, read_name
from extproc.limits.rules import Ready
from extproc.limits.semaphore import SemaphoreRule
from extproc.limits.window import WindowRule

UNITS = (
    Unit.TOKENS,
    Unit.PROMPT_TOKENS,
    Unit.COMPLETION_TOKENS,
    Unit.REQUESTS,
    Unit.CONCURRENT,
    Unit.USD,
)
"""In the order of their numbers, from 1."""
BUCKET, WINDOW, SEMAPHORE, BUDGET = 1, 2, 3, 4
STRICT, SHADOW, QUEUED = 1, 2, 4

RULE = struct.Struct("<BBBHddddd")
"""Kind, unit, flags, discount, capacity, and four numbers of the kind's own."""
AMOUNT = struct.Struct("<dB")
"""What is reserved, and how many bytes of alert levels follow."""
ROW = struct.Struct("<ddd")
SPENT = struct.Struct("<Bdddd")
TICKET = struct.Struct("<dB")
"""Weight, and whether it joins."""
SETTLED = struct.Struct("<dd")
"""Reserved and used, behind a byte for the unit; alert levels follow."""
NOTHING_SPENT = SPENT.pack(0, 0, 0, 0, 0)


class Packer:
    """Packs rules, and remembers those that do not depend on the time."""

    def __init__(self) -> None:
        self._packed: dict[Limit, bytes] = {}

    def charge(self, ready: Ready, amount: int, now_us: int) -> bytes:
        """Pack a rule with an amount. `now_us` is this host's clock, for the calendar."""
        if isinstance(ready.rule, BudgetRule):
            return pack_budget(ready, ready.rule, amount, now_us)
        packed = self._packed.get(ready.limit)
        if packed is None:
            if len(self._packed) >= 10_000:
                self._packed.clear()
            packed = self._packed[ready.limit] = pack_rule(ready)
        return packed + AMOUNT.pack(amount, 0)


def pack_rule(ready: Ready) -> bytes:
    match ready.rule:
        case BucketRule(capacity, rate):
            own = (rate.amount, rate.ticks, rate.tick_us, 0)
            return pack(ready, BUCKET, capacity, own)
        case WindowRule(capacity, slot_us):
            return pack(ready, WINDOW, capacity, (slot_us, 0, 0, 0))
        case SemaphoreRule(capacity):
            return pack(ready, SEMAPHORE, capacity, (0, 0, 0, 0))
        case BudgetRule():
            raise TypeError("a budget's rule depends on the time")


def pack_budget(ready: Ready, rule: BudgetRule, amount: int, now_us: int) -> bytes:
    packed = pack(ready, BUDGET, rule.capacity, rule.periods.around(now_us))
    levels = struct.pack(f"<{len(rule.alerts)}H", *rule.alerts)
    return packed + AMOUNT.pack(amount, len(levels)) + levels


def pack(ready: Ready, kind: int, capacity: int, own: tuple[int, int, int, int]) -> bytes:
    limit = ready.limit
    flags = STRICT * limit.strict + SHADOW * limit.shadow + QUEUED * has_line(limit)
    return RULE.pack(
        kind, UNITS.index(limit.unit) + 1, flags, ready.discount, float(capacity), *own
    )


def pack_keys(keys: Sequence[bytes]) -> bytes:
    """Their lengths, and then all of them."""
    return struct.pack(f"<{len(keys)}H", *map(len, keys)) + b"".join(keys)


def pack_ticket(ticket: Ticket) -> tuple[bytes, ...]:
    texts = (ticket.worker, ticket.priority, ticket.tenant)
    packed = TICKET.pack(ticket.weight, ticket.joins)
    return (*(text.encode("utf-8", "surrogatepass") for text in texts), packed)


def pack_name(place: Place) -> bytes:
    return name_of(place).encode("utf-8", "surrogatepass")


def unpack_call(packed: bytes) -> Place:
    """Read whom a script calls."""
    line, priority, name = packed.decode("utf-8", "surrogatepass").split("\0")
    return read_name(line, priority, name)


def pack_spent(spent: Spent | None) -> bytes:
    if spent is None:
        return NOTHING_SPENT
    return SPENT.pack(
        1, spent.prompt_tokens, spent.cached_tokens, spent.completion_tokens, spent.nano_usd
    )


def unpack_rows(packed: bytes, begin: int) -> Iterator[Row]:
    for remaining, reset_us, wait_us in ROW.iter_unpack(memoryview(packed)[begin:]):
        yield Row(int(remaining), reset_us, wait_us)


def unpack_settled(parts: Sequence[bytes], prefix: int) -> Iterator[Settled]:
    """Read pairs of a key, which begins with a prefix of that length, and its numbers."""
    for key, numbers in zip(parts[::2], parts[1::2], strict=True):
        reserved, used = SETTLED.unpack_from(numbers, 1)
        levels = numbers[1 + SETTLED.size :]
        crossed = struct.unpack(f"<{len(levels) // 2}H", levels)
        _, name, scope = key[prefix:].decode("utf-8", "surrogatepass").split(":", 2)
        yield Settled(name, scope, UNITS[numbers[0] - 1], int(reserved), int(used), crossed)
