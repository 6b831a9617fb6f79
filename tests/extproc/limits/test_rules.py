"""Which limits make sense, how they are compiled, and what a request counts for them."""

import msgspec
import pytest

from extproc.limits.base import LARGEST, Algorithm, Calendar, Charge, Limit, Spent, Unit
from extproc.limits.bucket import BucketRule
from extproc.limits.budget import BudgetRule
from extproc.limits.rate import Rate
from extproc.limits.rules import Rules, compile_limit, count
from extproc.limits.semaphore import SemaphoreRule
from extproc.limits.window import WindowRule

BUCKET = Limit(
    name="user-tpm", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=1000, period_s=60
)
WINDOW = msgspec.structs.replace(BUCKET, algorithm=Algorithm.SLIDING_WINDOW)
LEAKY = msgspec.structs.replace(BUCKET, algorithm=Algorithm.LEAKY_BUCKET)
SEMAPHORE = Limit(name="s", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=10)
BUDGET = Limit(
    name="m", algorithm=Algorithm.BUDGET, unit=Unit.USD, amount=10**9, calendar=Calendar.MONTH,
    alerts=(100, 50, 50),
)  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "prefix", "rule"),
    [
        (BUCKET, "b:user-tpm:", BucketRule(1000, Rate(1, 60_000, 1))),
        (LEAKY, "b:user-tpm:", BucketRule(1000, Rate(1, 60_000, 1))),
        (
            msgspec.structs.replace(BUCKET, burst=50),
            "b:user-tpm:",
            BucketRule(50, Rate(1, 60_000, 1)),
        ),
        (WINDOW, "w:user-tpm:", WindowRule(1000, 1_000_000)),
        (msgspec.structs.replace(WINDOW, period_s=1), "w:user-tpm:", WindowRule(1000, 16_667)),
        (SEMAPHORE, "s:s:", SemaphoreRule(10)),
    ],
)
def test_compiled(limit, prefix, rule):
    ready = compile_limit(limit)
    assert (ready.prefix, ready.rule, ready.discount) == (prefix, rule, 0)


def test_a_budget_compiled():
    ready = compile_limit(BUDGET)
    assert isinstance(ready.rule, BudgetRule)
    assert (ready.prefix, ready.rule.capacity, ready.rule.alerts) == ("m:m:", 10**9, (50, 100))


@pytest.mark.parametrize(
    ("limit", "change", "why"),
    [
        (BUCKET, {"name": "a:b"}, "a name is"),
        (BUCKET, {"name": ""}, "a name is"),
        (BUCKET, {"name": "x" * 65}, "a name is"),
        (BUCKET, {"amount": 0}, "amount must be"),
        (BUCKET, {"amount": -5}, "amount must be"),
        (BUCKET, {"amount": LARGEST + 1}, "amount must be"),
        (BUCKET, {"unit": Unit.CONCURRENT}, "a semaphore counts"),
        (SEMAPHORE, {"unit": Unit.TOKENS}, "a semaphore counts"),
        (BUDGET, {"calendar": None}, "a budget has a calendar"),
        (WINDOW, {"calendar": Calendar.DAY}, "a budget has a calendar"),
        (BUCKET, {"period_s": 0}, "have a period"),
        (BUCKET, {"period_s": -1}, "have a period"),
        (WINDOW, {"period_s": 367 * 86_400}, "have a period"),
        (SEMAPHORE, {"period_s": 5}, "have a period"),
        (BUDGET, {"period_s": 5}, "have a period"),
        (BUCKET, {"burst": -1}, "burst"),
        (WINDOW, {"burst": 5}, "burst"),
        (BUCKET, {"amount": 1, "burst": 10**9}, "a year"),
        (BUCKET, {"cached_weight": 1.5}, "weight"),
        (BUCKET, {"cached_weight": float("nan")}, "weight"),
        (BUCKET, {"alerts": (50,)}, "only budgets"),
        (BUDGET, {"alerts": (0,)}, "alert levels"),
        (BUDGET, {"alerts": (1001,)}, "alert levels"),
        (BUDGET, {"zone": "Europe/Atlantis"}, "no time zone"),
        (BUCKET, {"amount": 999_999_999_999_989, "period_s": 86_400}, "rounder"),
    ],
)
def test_what_makes_no_sense(limit, change, why):
    with pytest.raises(ValueError, match=why):
        compile_limit(msgspec.structs.replace(limit, **change))


SPENT = Spent(prompt_tokens=1000, cached_tokens=600, completion_tokens=50, nano_usd=7)


@pytest.mark.parametrize(
    ("unit", "discount", "spent", "counted"),
    [
        (Unit.TOKENS, 0, SPENT, 1050),
        (Unit.TOKENS, 1000, SPENT, 450),
        (Unit.TOKENS, 333, SPENT, 851),  # rounded up: 199.8 off
        (Unit.PROMPT_TOKENS, 500, SPENT, 700),
        (Unit.PROMPT_TOKENS, 1000, Spent(prompt_tokens=10, cached_tokens=99), 0),
        (Unit.COMPLETION_TOKENS, 1000, SPENT, 50),
        (Unit.REQUESTS, 1000, Spent(), 1),
        (Unit.CONCURRENT, 0, SPENT, 1),
        (Unit.USD, 1000, SPENT, 7),
        *[(unit, 0, None, 0) for unit in Unit],
    ],
)
def test_what_a_request_counts(unit, discount, spent, counted):
    assert count(unit, discount, spent) == counted


def test_cached_tokens_weigh_in_thousandths():
    assert compile_limit(msgspec.structs.replace(BUCKET, cached_weight=0.1)).discount == 900


def test_rules_are_made_once():
    rules = Rules(most=1)
    first = rules.ready(BUCKET)
    assert rules.ready(msgspec.structs.replace(BUCKET)) is first
    assert rules.ready(WINDOW) is not first
    assert rules.ready(BUCKET) is not first, "forgotten, to stay small"


@pytest.mark.parametrize(
    ("charges", "why"),
    [
        ([Charge(BUCKET, "a", -1)], "no amount"),
        ([Charge(BUCKET, "a", LARGEST + 1)], "no amount"),
        ([Charge(SEMAPHORE, "a", 2)], "one place"),
        ([Charge(BUCKET, "a", 1), Charge(LEAKY, "a", 1)], "same limit and scope"),
        ([Charge(BUCKET, "x" * 1001, 1)], "1000 characters"),
        ([Charge(BUCKET, str(number), 1) for number in range(101)], "more than 100"),
    ],
)
def test_what_cannot_be_charged(charges, why):
    with pytest.raises(ValueError, match=why):
        Rules().of(charges)


def test_keys():
    charges = [Charge(BUCKET, "a:b", 1), Charge(SEMAPHORE, "", 1)]
    assert [key for _, key in Rules().of(charges)] == ["b:user-tpm:a:b", "s:s:"]
