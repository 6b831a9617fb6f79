"""What clients are told of limits: headers they know, and words for a refusal."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.limits.base import Algorithm, Limit, Standing, Unit, Verdict

SHOWN: Mapping[Unit, str] = {
    Unit.REQUESTS: "requests",
    Unit.TOKENS: "tokens",
    Unit.PROMPT_TOKENS: "tokens",
    Unit.COMPLETION_TOKENS: "tokens",
}
"""Units that OpenAI's headers know. What runs at once and money have none."""

PERIODS = {1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}

LONGEST_RETRY_S = 31 * 86400


def tell(standings: Sequence[Standing]) -> dict[str, str]:
    """`x-ratelimit-*` without the prefix, such as `remaining-tokens`: of each kind the limit that has
    the smallest share left. Source: OpenAI's guide, "Rate limits in headers"."""
    told: dict[str, str] = {}
    for kind in ("requests", "tokens"):
        shown = [one for one in standings if SHOWN.get(one.limit.unit) == kind]
        if not shown:
            continue
        tightest = min(shown, key=lambda one: one.remaining / one.limit.amount)
        told[f"limit-{kind}"] = str(tightest.limit.amount)
        told[f"remaining-{kind}"] = str(max(0, tightest.remaining))
        told[f"reset-{kind}"] = say_duration(tightest.reset_s)
    return told


def say_duration(seconds: float) -> str:
    """Write a duration as OpenAI does: `17ms`, `8.64s`, `6m0s`, `1h2m3s`."""
    if seconds < 1:
        return f"{ceil(max(0.0, seconds) * 1000)}ms"
    if seconds < 60:
        return f"{ceil(seconds * 1000) / 1000:g}s"
    whole = ceil(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{f'{hours}h' if hours else ''}{minutes}m{whole % 60}s"


def refuse(verdict: Verdict, wanted: Mapping[str, int]) -> Deny:
    """Turn a verdict into words. `wanted` is what would have been reserved, by the limit's name.

    Of several limits that refuse, the one is named that takes longest to make room.
    """
    headers = {f"x-ratelimit-{name}": value for name, value in tell(verdict.standings).items()}
    if verdict.degraded:
        headers["x-headgate-limits"] = verdict.degraded
    if verdict.degraded == "deny" or not verdict.blocking:
        message = "Limits cannot be checked at the moment."
        return Deny(Reason.NO_LIMITS, message, retry_after_s=1, headers=headers)
    met = max(verdict.blocking, key=lambda one: (one.retry_after_s is None, one.retry_after_s or 0))
    wait_s = None if met.retry_after_s is None else ceil(max(met.retry_after_s, 0.001))
    reason = find_reason(met)
    if reason is not Reason.RATE_LIMIT:
        # OpenAI's SDKs heed it: without it they would ask twice more, in vain.
        headers["x-should-retry"] = "false"
    headers["x-headgate-limit"] = met.limit.name
    return Deny(
        reason,
        say(met, wanted.get(met.limit.name, 1), wait_s),
        retry_after_s=min(wait_s or 0, LONGEST_RETRY_S),
        headers=headers,
        limit=document(met, wait_s),
    )


def find_reason(met: Standing) -> Reason:
    if met.limit.algorithm is Algorithm.BUDGET:
        return Reason.BUDGET
    return Reason.ABOVE_LIMIT if met.retry_after_s is None else Reason.RATE_LIMIT


def say(met: Standing, wanted: int, wait_s: int | None) -> str:
    limit = met.limit
    whose = f" for {met.scope}" if met.scope else ""
    if limit.unit is Unit.CONCURRENT:
        return f"Limit {limit.name!r}{whose}: {limit.amount} requests at once, and all places are taken."
    left = f"{amount(limit, max(0, met.remaining))} left, {amount(limit, wanted)} needed"
    when = "no wait makes room for that" if wait_s is None else f"room in {wait_s} s"
    return f"Limit {limit.name!r}{whose}: {describe(limit)}; {left}; {when}."


def describe(limit: Limit) -> str:
    """Say what a limit is: `1000 tokens a minute`."""
    if limit.unit is Unit.CONCURRENT:
        return f"{limit.amount} at once"
    every = limit.calendar.value if limit.calendar else PERIODS.get(limit.period_s, "")
    return f"{amount(limit, limit.amount)} {f'a {every}' if every else f'every {limit.period_s} s'}"


def amount(limit: Limit, value: int) -> str:
    if limit.unit is Unit.USD:
        return f"{Decimal(value).scaleb(-9).normalize():f} USD"
    return f"{value} {limit.unit.value.replace('_', ' ')}"


def document(met: Standing, wait_s: int | None) -> dict[str, object]:
    """Say the same for programs; money in US dollars."""
    limit = met.limit
    money = limit.unit is Unit.USD
    scaled = [float(value) / 1e9 if money else value for value in (limit.amount, met.remaining)]
    return {
        "name": limit.name,
        "scope": met.scope,
        "unit": limit.unit.value,
        "limit": scaled[0],
        "remaining": max(0, scaled[1]),
        "reset_s": round(met.reset_s, 3),
        "retry_after_s": wait_s,
    }
