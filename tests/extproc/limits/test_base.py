"""What can be read off verdicts and settlements."""

import pytest

from extproc.limits.base import Algorithm, Limit, Settled, Unit


@pytest.mark.parametrize(
    ("reserved", "used", "refunded", "overshoot"), [(10, 4, 6, 0), (10, 10, 0, 0), (10, 13, 0, 3)]
)
def test_what_settling_did(reserved, used, refunded, overshoot):
    settled = Settled("tpm", "ann", Unit.TOKENS, reserved, used)
    assert (settled.refunded, settled.overshoot) == (refunded, overshoot)


def test_a_limit_is_a_key():
    """Stores look up by it what they have compiled, eight times for each request."""
    one, same, other = (
        Limit(name="a", algorithm=Algorithm.SEMAPHORE, unit=Unit.CONCURRENT, amount=amount)
        for amount in (1, 1, 2)
    )
    assert {one: "known"}.get(same) == "known"
    assert other not in {one: "known"}
