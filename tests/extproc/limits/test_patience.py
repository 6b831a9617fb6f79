"""How long somebody may wait."""

import math

import pytest

from extproc.limits.base import Algorithm, Limit, Standing, Unit, Verdict
from extproc.limits.patience import LEAST_S, patience_s, read_client_s, time_s


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, math.inf),
        ({"x-request-timeout": "2.5"}, 2.5),
        ({"x-stainless-read-timeout": "600"}, 600),
        ({"x-stainless-read-timeout": "5.0", "x-stainless-timeout": "NOT_GIVEN"}, 5),
        ({"x-stainless-timeout": "0"}, 0),
        ({"x-request-timeout": "30", "x-stainless-timeout": "7"}, 7),
        ({"x-request-timeout": "-1"}, math.inf),
        ({"x-request-timeout": "nan"}, math.inf),
        ({"x-request-timeout": "1e9"}, math.inf),
        ({"x-request-timeout": "٣"}, math.inf),
        ({"x-request-timeout": "1,2"}, math.inf),
    ],
)
def test_what_clients_say(headers, seconds):
    assert read_client_s(headers) == seconds


def standing(wait_s, *, algorithm=Algorithm.TOKEN_BUCKET, retry_after_s=3.0, blocking=True):
    limit = Limit(name="l", algorithm=algorithm, unit=Unit.TOKENS, amount=1, wait_s=wait_s)
    return Standing(limit, "", 0, 0.0, blocking, retry_after_s)


def refused(*standings, degraded=""):
    return Verdict(False, standings, 1.0, degraded=degraded)


def test_every_limit_that_refuses_has_a_say():
    assert patience_s(refused(standing(5), standing(2))) == 2
    assert patience_s(refused(standing(5), standing(0))) == 0
    assert patience_s(refused(standing(5), standing(0, blocking=False))) == 5
    assert patience_s(refused(standing(5), degraded="deny")) == 0
    assert patience_s(refused()) == 0


def test_time_makes_room_in_rates_and_not_in_semaphores():
    slots = standing(5, algorithm=Algorithm.SEMAPHORE, retry_after_s=9.0)
    assert time_s(refused(slots)) == math.inf
    assert time_s(refused(slots, standing(5), standing(5, retry_after_s=1.0))) == 3.0
    assert time_s(refused(standing(5, retry_after_s=1e-6))) == LEAST_S
