import pytest

from bench.plan import DEFAULT, QUICK, rotated


@pytest.mark.parametrize(
    ("turn", "wanted"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc"), (7, "bca")]
)
def test_each_round_begins_with_another(turn, wanted):
    assert "".join(rotated("abc", turn)) == wanted


@pytest.mark.parametrize("plan", [DEFAULT, QUICK])
def test_streams_outlast_their_window(plan):
    assert plan.stream_tokens * plan.itl_ms / 1000 > plan.warmup_s + plan.stream_s
    assert plan.rounds % 2 == 1
