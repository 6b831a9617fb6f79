"""Limits as they are written, and what they come to."""

import pytest
from pydantic import ValidationError

from extproc.limits.base import Algorithm, Calendar, Unit
from extproc.policy.limits import LimitPolicy
from extproc.stores.counters_sharded import home


@pytest.mark.parametrize(
    ("written", "algorithm", "amount", "period"),
    [
        # The table that platform teams start from.
        ({"per": "user", "tokens": 1000, "every": "minute"}, Algorithm.TOKEN_BUCKET, 1000, 60),
        ({"per": "user", "tokens": 50000, "every": "day"}, Algorithm.SLIDING_WINDOW, 50000, 86400),
        ({"per": "model", "concurrent": 10}, Algorithm.SEMAPHORE, 10, 0),
        ({"tokens": 10000, "every": "second"}, Algorithm.LEAKY_BUCKET, 10000, 1),
        ({"per": "tenant", "usd": 500, "every": "month"}, Algorithm.BUDGET, 500 * 10**9, "month"),
        # And more.
        ({"requests": 5, "every": "second"}, Algorithm.LEAKY_BUCKET, 5, 1),
        ({"requests": 1000, "every": "day"}, Algorithm.SLIDING_WINDOW, 1000, 86400),
        ({"requests": 30, "every": "30s"}, Algorithm.TOKEN_BUCKET, 30, 30),
        ({"tokens": 9, "every": "7d"}, Algorithm.SLIDING_WINDOW, 9, 604800),
        ({"usd": "0.000000001", "every": "day"}, Algorithm.BUDGET, 1, "day"),
        ({"usd": 1, "every": "hour"}, Algorithm.SLIDING_WINDOW, 10**9, 3600),
        ({"tokens": 10**6, "every": "month"}, Algorithm.BUDGET, 10**6, "month"),
        ({"tokens": 9, "every": "day", "algorithm": "budget"}, Algorithm.BUDGET, 9, "day"),
        ({"tokens": 9, "every": "minute", "algorithm": "sliding_window"},
         Algorithm.SLIDING_WINDOW, 9, 60),
    ],
)  # fmt: skip
def test_the_usual_algorithm_is_chosen(written, algorithm, amount, period):
    limit = LimitPolicy.model_validate({"name": "l", **written}).limit()
    assert (limit.algorithm, limit.amount) == (algorithm, amount)
    calendar = Calendar(period) if isinstance(period, str) else None
    assert (limit.calendar, limit.period_s) == (calendar, 0 if calendar else period)


def test_whom_it_is_for():
    written = {
        "name": "l", "per": ["tenant", "model"], "completion_tokens": 7, "every": "minute",
        "tenants": ["acme"], "groups": ["dev"], "models": ["m"], "operations": ["chat"],
        "wait_s": 2.5,
    }  # fmt: skip
    reach = LimitPolicy.model_validate(written).reach()
    assert (reach.per, reach.tenants, reach.groups) == (("tenant", "model"), {"acme"}, {"dev"})
    assert (reach.models, reach.operations, reach.limit.wait_s) == ({"m"}, {"chat"}, 2.5)
    assert reach.limit.unit is Unit.COMPLETION_TOKENS
    assert LimitPolicy.model_validate({"name": "l", "concurrent": 1}).reach().per == ()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "exactly one of tokens"),
        ({"tokens": 1, "requests": 1, "every": "day"}, "exactly one of tokens"),
        ({"tokens": 1}, "say how often"),
        ({"concurrent": 1, "every": "minute"}, "leave `every` out"),
        ({"tokens": 0, "every": "day"}, "greater than or equal to 1"),
        ({"tokens": -5, "every": "day"}, "greater than or equal to 1"),
        ({"tokens": 1.5, "every": "day"}, "valid integer"),
        ({"tokens": 10**16, "every": "day"}, "less than or equal"),
        ({"usd": 0, "every": "day"}, "greater than 0"),
        ({"usd": 10**7, "every": "day"}, "less than or equal"),
        ({"tokens": 1, "every": "fortnight"}, "is second, minute"),
        ({"tokens": 1, "every": "0s"}, "is second, minute"),
        ({"tokens": 1, "every": "99d"}, "31 days at most"),
        ({"tokens": 1, "every": "month", "algorithm": "sliding_window"}, "write 30d"),
        ({"tokens": 1, "every": "hour", "algorithm": "budget"}, "every day, week or month"),
        ({"tokens": 1, "every": "day", "algorithm": "semaphore"}, "a semaphore counts"),
        ({"concurrent": 1, "algorithm": "token_bucket"}, "a semaphore counts"),
        ({"tokens": 1, "every": "day", "burst": 5}, "burst is for buckets"),
        ({"tokens": 1, "every": "minute", "alerts": [50]}, "alerts are for budgets"),
        ({"concurrent": 1, "stop": True}, "stop is for"),
        ({"requests": 1, "every": "day", "stop": True}, "stop is for"),
        ({"prompt_tokens": 1, "every": "day", "stop": True}, "stop is for"),
        ({"tokens": 1, "every": "day", "stop": True, "strict": True}, "choose one"),
        ({"concurrent": 1, "per": "planet"}, "per"),
        ({"concurrent": 1, "per": ["user", "user"]}, "name each owner once"),
        ({"concurrent": 1, "per": ["all", "user"]}, "`all` alone"),
        ({"usd": 1, "every": "month", "zone": "Mars/Olympus"}, "no time zone"),
        ({"usd": 1, "every": "month", "zone": "/etc/passwd"}, "no time zone"),
        ({"concurrent": 1, "cached_weight": 1.5}, "cached_weight"),
        ({"concurrent": 1, "wait_s": 60}, "wait_s"),
    ],
)  # fmt: skip
def test_what_is_no_limit(written, said):
    with pytest.raises(ValidationError) as caught:
        LimitPolicy.model_validate({"name": "l", **written})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("per", "theirs"),
    [("all", False), ("model", False), (["model", "tenant"], False), ("tenant", True),
     (["user", "model"], True), ("key", True), ("project", True)],
)  # fmt: skip
def test_whose_scopes_begin_with_a_tenant(per, theirs):
    limit = LimitPolicy.model_validate({"name": "l", "concurrent": 1, "per": per}).limit()
    assert limit.of_tenants is theirs
    assert home(limit, "acme/alice") == ("acme" if theirs else "")
