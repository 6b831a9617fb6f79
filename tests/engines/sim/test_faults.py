import pytest

import engines.sim
from engines.sim.faults import Fault, Kind, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("error_500", Fault(Kind.ERROR_500)),
        ("error_503", Fault(Kind.ERROR_503)),
        ("cut_before_headers", Fault(Kind.CUT_BEFORE_HEADERS)),
        ("cut_after_headers", Fault(Kind.CUT_AFTER_HEADERS)),
        ("cut_after:0", Fault(Kind.CUT_AFTER, 0)),
        ("cut_after:12", Fault(Kind.CUT_AFTER, 12)),
        ("hang", Fault(Kind.HANG)),
        ("slow", Fault(Kind.SLOW)),
        ("huge:2000000", Fault(Kind.HUGE, 2_000_000)),
        ("drip:1", Fault(Kind.DRIP, 1)),
    ],
)
def test_parse(text: str, fault: Fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no such fault"),
        ("explode", "no such fault"),
        ("HANG", "no such fault"),
        ("hang:1", "hang takes no amount"),
        ("slow:", "slow takes no amount"),
        ("cut_after", "cut_after needs an amount"),
        ("cut_after:", "cut_after needs an amount"),
        ("cut_after:-1", "cut_after needs an amount"),
        ("cut_after:1.5", "cut_after needs an amount"),
        ("cut_after:\u0661", "cut_after needs an amount"),
        ("huge:0", "between 1 and"),
        ("huge:67108865", "between 1 and"),
        ("huge:99999999999", "huge needs an amount"),
        ("drip:0", "between 1 and"),
    ],
)
def test_parse_says_what_is_wrong(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_fault(text)


def test_every_fault_is_documented():
    assert engines.sim.__doc__ is not None
    for kind in Kind:
        assert f"    {kind}" in engines.sim.__doc__ or f", {kind} " in engines.sim.__doc__
