from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.figures import Figures, figures_of, write_decimal, write_usd
from ledger.rollup import SUMS, Tally, slot_of


def test_fields_are_the_sums():
    assert Figures.__struct_fields__[: len(SUMS)] == SUMS
    figures = figures_of(Tally(list(range(len(SUMS))), {slot_of(100): 1}))
    assert [getattr(figures, name) for name in SUMS] == list(range(len(SUMS)))
    assert figures.ttft_p50_us == figures.ttft_p95_us == pytest.approx(100, rel=1 / 32)
    assert figures.tokens == figures.prompt_tokens + figures.completion_tokens
    assert (
        figures.cost_pusd == figures.uncached_pusd + figures.cached_pusd + figures.completion_pusd
    )


@pytest.mark.parametrize(
    ("pusd", "text"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (-1, "-0.000000000001"),
        (10**12, "1"),
        (-1_500_000_000_000, "-1.5"),
        (120 * 10**12, "120"),
        (10**40 + 1, "10000000000000000000000000000.000000000001"),
    ],
)
def test_dollars(pusd, text):
    assert write_usd(pusd) == text


@given(number=st.integers(-(10**27), 10**27), digits=st.sampled_from([0, 6, 12]))
def test_decimals_are_exact(number, digits):
    text = write_decimal(number, digits)
    assert Decimal(text) == Decimal(number).scaleb(-digits)
    assert "E" not in text
    assert not text.endswith(".")
