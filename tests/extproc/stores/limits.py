"""Limits and a clock for tests of counters."""

from extproc.limits.base import Algorithm, Calendar, Charge, Limit, Spent, Unit

SECOND = 1_000_000
BEGIN = 1_770_724_800 * SECOND  # 10 February 2026, noon UTC


class Clock:
    """Microseconds since 1970, moved by hand."""

    def __init__(self, now_us=BEGIN):
        self.now_us = now_us

    def __call__(self):
        return self.now_us

    def wait(self, seconds):
        self.now_us += round(seconds * SECOND)


def limit(name, algorithm, unit, amount, **options):
    return Limit(name=name, algorithm=algorithm, unit=unit, amount=amount, **options)


def bucket(name="tpm", amount=1000, period_s=60, **options):
    return limit(name, Algorithm.TOKEN_BUCKET, Unit.TOKENS, amount, period_s=period_s, **options)


def window(name="tpd", amount=1000, period_s=86_400, **options):
    return limit(name, Algorithm.SLIDING_WINDOW, Unit.TOKENS, amount, period_s=period_s, **options)


def leaky(name="rate", amount=1000, period_s=1, **options):
    return limit(name, Algorithm.LEAKY_BUCKET, Unit.TOKENS, amount, period_s=period_s, **options)


def semaphore(name="at-once", amount=2, **options):
    return limit(name, Algorithm.SEMAPHORE, Unit.CONCURRENT, amount, **options)


def budget(name="money", amount=1000, calendar=Calendar.MONTH, **options):
    return limit(name, Algorithm.BUDGET, Unit.USD, amount, calendar=calendar, **options)


def ask(*limits, amount=100, scope="ann"):
    """Charges of one amount, or of one place."""
    return [Charge(one, scope, 1 if one.unit is Unit.CONCURRENT else amount) for one in limits]


def used(tokens, nano_usd=0):
    return Spent(completion_tokens=tokens, nano_usd=nano_usd or tokens)
