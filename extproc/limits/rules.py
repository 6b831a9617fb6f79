"""A limit of the policy, made ready for counting; and what a request counts for it."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from extproc.limits.base import LARGEST, Algorithm, Charge, Limit, Spent, Unit
from extproc.limits.bucket import BucketRule
from extproc.limits.budget import BudgetRule
from extproc.limits.periods import Periods
from extproc.limits.rate import SECOND_US, make_rate
from extproc.limits.semaphore import SemaphoreRule
from extproc.limits.window import SLOTS, WindowRule

KINDS = "bwsm"
"""The first letter of keys: bucket, window, semaphore, money and other budgets."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Names of limits: no colon, which parts name and scope in keys."""
LONGEST_SCOPE = 1000
MOST_CHARGES = 100
LONGEST_S = 366 * 24 * 3600
"""Of periods, and of the time a bucket takes to drain."""
HIGHEST_ALERT = 1000
"""Percent. Spending may exceed a budget where estimates are too small."""

AnyRule = BucketRule | WindowRule | SemaphoreRule | BudgetRule


class Ready(msgspec.Struct, frozen=True):
    """A limit and how it is counted."""

    limit: Limit
    rule: AnyRule
    prefix: str
    """Of its keys: a letter for the kind of state, and the name. The scope follows."""
    discount: int
    """Thousandths that a cached prompt token counts less."""


def compile_limit(limit: Limit) -> Ready:
    """Raises: ValueError: It makes no sense; the message says why."""
    check(limit)
    letter, rule = RULES[limit.algorithm](limit)
    discount = 1000 - round(limit.cached_weight * 1000)
    return Ready(limit, rule, f"{letter}:{limit.name}:", discount)


def check(limit: Limit) -> None:
    """Raises: ValueError."""
    kind = limit.algorithm
    if not NAME.fullmatch(limit.name):
        raise ValueError("a name is letters, digits, '_', '.' and '-', at most 64")
    if not 1 <= limit.amount <= LARGEST:
        raise ValueError(f"the amount must be 1 to {LARGEST}")
    if (kind is Algorithm.SEMAPHORE) != (limit.unit is Unit.CONCURRENT):
        raise ValueError("a semaphore counts what is concurrent, and nothing else does")
    if (kind is Algorithm.BUDGET) != (limit.calendar is not None):
        raise ValueError("a budget has a calendar, and nothing else does")
    periodic = kind not in {Algorithm.BUDGET, Algorithm.SEMAPHORE}
    if periodic != (1 <= limit.period_s <= LONGEST_S) or (limit.period_s and not periodic):
        raise ValueError(f"buckets and windows have a period of 1 to {LONGEST_S} s, others none")
    check_options(limit)


def check_options(limit: Limit) -> None:
    """Raises: ValueError."""
    bucket = limit.algorithm in {Algorithm.TOKEN_BUCKET, Algorithm.LEAKY_BUCKET}
    if not 0 <= limit.burst <= LARGEST or (limit.burst and not bucket):
        raise ValueError(f"a bucket's burst is 1 to {LARGEST}; nothing else has one")
    if not 0 <= limit.cached_weight <= 1:
        raise ValueError("the weight of cached tokens must be 0 to 1")
    if limit.alerts and limit.algorithm is not Algorithm.BUDGET:
        raise ValueError("only budgets have alerts")
    if any(not 1 <= level <= HIGHEST_ALERT for level in limit.alerts):
        raise ValueError(f"alert levels must be 1 to {HIGHEST_ALERT} percent")


def bucket(limit: Limit) -> tuple[str, BucketRule]:
    rate = make_rate(limit.amount, limit.period_s)
    capacity = limit.burst or limit.amount
    if rate.time_us(capacity) > LONGEST_S * SECOND_US:
        raise ValueError("it would take more than a year to recover from a burst that large")
    return "b", BucketRule(capacity, rate)


def window(limit: Limit) -> tuple[str, WindowRule]:
    return "w", WindowRule(limit.amount, -(-limit.period_s * SECOND_US // SLOTS))


def semaphore(limit: Limit) -> tuple[str, SemaphoreRule]:
    return "s", SemaphoreRule(limit.amount)


def budget(limit: Limit) -> tuple[str, BudgetRule]:
    assert limit.calendar
    periods = Periods(limit.calendar, limit.zone)
    return "m", BudgetRule(limit.amount, periods, tuple(sorted(set(limit.alerts))))


RULES: Mapping[Algorithm, Callable[[Limit], tuple[str, AnyRule]]] = MappingProxyType(
    {
        Algorithm.TOKEN_BUCKET: bucket,
        Algorithm.LEAKY_BUCKET: bucket,
        Algorithm.SLIDING_WINDOW: window,
        Algorithm.SEMAPHORE: semaphore,
        Algorithm.BUDGET: budget,
    }
)


class Rules:
    """The limits in use, each made ready once. Forgets all when a reload has brought too many."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._ready: dict[Limit, Ready] = {}

    def ready(self, limit: Limit) -> Ready:
        """Raises: ValueError."""
        found = self._ready.get(limit)
        if found is None:
            if len(self._ready) >= self._most:
                self._ready.clear()
            found = self._ready[limit] = compile_limit(limit)
        return found

    def of(self, charges: Sequence[Charge]) -> list[tuple[Ready, str]]:
        """Each charge's limit, made ready, and the key of its state.

        Raises:
            ValueError: An amount cannot be taken, or two charges are for the same state.
        """
        if len(charges) > MOST_CHARGES:
            raise ValueError(f"more than {MOST_CHARGES} limits for one request")
        found = [self.find(charge) for charge in charges]
        if len({key for _, key in found}) < len(found):
            raise ValueError("two charges are for the same limit and scope")
        return found

    def find(self, charge: Charge) -> tuple[Ready, str]:
        """Raises: ValueError: Its amount cannot be taken."""
        limit, amount = charge.limit, charge.amount
        ready = self._ready.get(limit) or self.ready(limit)
        if not 0 <= amount <= LARGEST:
            raise ValueError(f"{limit.name}: {amount} is no amount")
        if amount != 1 and limit.unit is Unit.CONCURRENT:
            raise ValueError(f"{limit.name}: a request takes one place")
        if len(charge.scope) > LONGEST_SCOPE:
            raise ValueError(f"{limit.name}: a scope has {LONGEST_SCOPE} characters at most")
        return ready, ready.prefix + charge.scope


def count(unit: Unit, discount: int, spent: Spent | None) -> int:
    """What a request counts in a unit; nothing when all is given back."""
    if spent is None:
        return 0
    cached = min(spent.cached_tokens, spent.prompt_tokens)
    prompt = spent.prompt_tokens - cached * discount // 1000
    match unit:
        case Unit.TOKENS:
            return prompt + spent.completion_tokens
        case Unit.PROMPT_TOKENS:
            return prompt
        case Unit.COMPLETION_TOKENS:
            return spent.completion_tokens
        case Unit.REQUESTS | Unit.CONCURRENT:
            return 1
        case Unit.USD:
            return spent.nano_usd
