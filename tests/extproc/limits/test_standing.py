"""What clients are told of limits."""

import msgspec
import pytest

from extproc.action import error_body
from extproc.errors import Reason
from extproc.limits.base import Algorithm, Calendar, Limit, Standing, Unit, Verdict
from extproc.limits.standing import refuse, say_duration, tell
from tests.extproc.requests import BARE

TPM = Limit(
    name="user-tpm", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=1000, period_s=60
)
TPD = msgspec.structs.replace(
    TPM, name="tpd", algorithm=Algorithm.SLIDING_WINDOW, amount=50_000, period_s=86400
)
QPS = Limit(name="qps", algorithm=Algorithm.LEAKY_BUCKET, unit=Unit.REQUESTS, amount=5, period_s=1)
SLOTS = Limit(name="slots", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=10)
BUDGET = Limit(
    name="month", algorithm=Algorithm.BUDGET, unit=Unit.USD, amount=500 * 10**9,
    calendar=Calendar.MONTH,
)  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0ms"), (-1, "0ms"), (0.0004, "1ms"), (0.017, "17ms"), (1, "1s"), (8.64, "8.64s"),
        (59.9999, "60s"), (60, "1m0s"), (360, "6m0s"), (3723, "1h2m3s"), (86400, "24h0m0s"),
    ],
)  # fmt: skip
def test_durations_are_written_as_openai_does(seconds, said):
    assert say_duration(seconds) == said


def test_of_several_limits_the_tightest_is_told():
    standings = [Standing(TPM, "a", 500, 30.0), Standing(TPD, "a", 100, 4000.0),
                 Standing(QPS, "", 4, 0.2), Standing(SLOTS, "m", 0, 1.0)]  # fmt: skip
    assert tell(standings) == {
        "limit-requests": "5", "remaining-requests": "4", "reset-requests": "200ms",
        "limit-tokens": "50000", "remaining-tokens": "100", "reset-tokens": "1h6m40s",
    }  # fmt: skip


def test_nothing_is_told_of_money_and_places():
    assert tell([Standing(SLOTS, "m", 3, 1.0), Standing(BUDGET, "acme", 10, 9e5)]) == {}


def test_what_is_overdrawn_has_nothing_left():
    assert tell([Standing(TPM, "a", -40, 62.4)])["remaining-tokens"] == "0"


def refusal(*standings, degraded=""):
    return refuse(Verdict(False, standings, 1.0, degraded=degraded), {"user-tpm": 400, "month": 7})


def test_a_refusal_names_the_limit_its_scope_what_is_left_and_when():
    deny = refusal(Standing(TPM, "acme/alice", 120, 52.8, blocking=True, retry_after_s=16.8))
    assert deny.reason is Reason.RATE_LIMIT
    assert deny.message == (
        "Limit 'user-tpm' for acme/alice: 1000 tokens a minute; "
        "120 tokens left, 400 tokens needed; room in 17 s."
    )
    assert deny.retry_after_s == 17
    assert deny.headers == {
        "x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "120",
        "x-ratelimit-reset-tokens": "52.8s", "x-headgate-limit": "user-tpm",
    }  # fmt: skip
    error = msgspec.json.decode(error_body(BARE, deny))["error"]
    assert error["limit"] == {
        "name": "user-tpm", "scope": "acme/alice", "unit": "tokens", "limit": 1000,
        "remaining": 120, "reset_s": 52.8, "retry_after_s": 17,
    }  # fmt: skip


def test_what_can_never_fit_is_not_to_be_asked_again():
    deny = refusal(Standing(TPM, "a", 1000, 0.0, blocking=True, retry_after_s=None))
    assert (deny.reason, deny.retry_after_s) == (Reason.ABOVE_LIMIT, 0)
    assert deny.headers["x-should-retry"] == "false"
    assert "no wait makes room" in deny.message


def test_an_empty_budget():
    deny = refusal(Standing(BUDGET, "acme", -5, 90_000.2, blocking=True, retry_after_s=90_000.2))
    assert (deny.reason, deny.retry_after_s) == (Reason.BUDGET, 90_001)
    assert deny.headers["x-should-retry"] == "false"
    assert "500 USD a month; 0 USD left, 0.000000007 USD needed" in deny.message
    assert deny.limit["limit"] == 500.0


def test_all_places_taken():
    deny = refusal(Standing(SLOTS, "m", 0, 0.3, blocking=True, retry_after_s=0.3))
    assert (deny.reason, deny.retry_after_s) == (Reason.RATE_LIMIT, 1)
    assert deny.message == "Limit 'slots' for m: 10 requests at once, and all places are taken."


def test_of_several_refusals_the_longest_counts():
    soon = Standing(QPS, "", 0, 0.2, blocking=True, retry_after_s=0.2)
    late = Standing(TPD, "a", 0, 4000.0, blocking=True, retry_after_s=4000.0)
    shadow = Standing(
        msgspec.structs.replace(BUDGET, shadow=True), "a", 0, 1.0, blocking=True, retry_after_s=9e5
    )
    assert refusal(soon, late, shadow).headers["x-headgate-limit"] == "tpd"


def test_without_counters_the_gateway_is_to_blame():
    deny = refusal(Standing(TPM, "a", 0, 1.0, blocking=True, retry_after_s=1.0), degraded="deny")
    assert (deny.reason, deny.retry_after_s) == (Reason.NO_LIMITS, 1)
    assert deny.headers["x-headgate-limits"] == "deny"
