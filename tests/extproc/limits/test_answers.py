"""From numbers to verdicts."""

import msgspec
import pytest

from extproc.limits.answers import Row, make_standing, make_verdict
from extproc.limits.base import Algorithm, Charge, Limit, Settlement, Standing, Unit
from extproc.limits.state import NEVER

LIMIT = Limit(
    name="tpm", algorithm=Algorithm.TOKEN_BUCKET, unit=Unit.TOKENS, amount=1000, period_s=60
)
GHOST = msgspec.structs.replace(LIMIT, name="ghost", shadow=True)
CHARGE, OTHER, SHADOW = (
    Charge(LIMIT, "ann", 5), Charge(LIMIT, "bob", 5), Charge(GHOST, "ann", 5)
)  # fmt: skip


def test_standings():
    assert make_standing(CHARGE, Row(7, 1_500_000, 0)) == Standing(LIMIT, "ann", 7, 1.5)
    blocking = Standing(LIMIT, "ann", -3, 1.5, blocking=True, retry_after_s=0.25)
    assert make_standing(CHARGE, Row(-3, 1_500_000, 250_000)) == blocking
    assert make_standing(CHARGE, Row(0, 0, NEVER)).retry_after_s is None


@pytest.mark.parametrize(
    ("waits", "retry_after_s"),
    [
        ((1_000_000, 0, 0), 1.0),
        ((1_000_000, 3_000_000, 0), 3.0),
        ((1_000_000, 3_000_000, 9_000_000), 3.0),  # the last is in shadow
        ((1_000_000, NEVER, 0), None),
        ((1_000_000, 0, NEVER), 1.0),
    ],
)
def test_the_longest_wait_of_those_that_refuse(waits, retry_after_s):
    rows = [Row(0, 0, wait) for wait in waits]
    verdict = make_verdict([CHARGE, OTHER, SHADOW], rows, admitted=False)
    assert verdict.retry_after_s == retry_after_s
    assert [one.scope for one in verdict.blocking] == [
        charge.scope for charge, wait in zip((CHARGE, OTHER), waits, strict=False) if wait
    ]
    assert [one.limit.name for one in verdict.shadowed] == (["ghost"] if waits[2] else [])


def test_admitted():
    verdict = make_verdict([SHADOW], [Row(0, 0, 5)], admitted=True)
    assert (verdict.admitted, verdict.retry_after_s, verdict.degraded) == (True, 0.0, "")
    assert verdict.blocking == ()
    assert len(verdict.shadowed) == 1


def test_repeated():
    settlement = Settlement("settled")
    verdict = make_verdict([], [], admitted=True, repeated=True, settlement=settlement)
    assert verdict.repeated
    assert verdict.settlement is settlement
