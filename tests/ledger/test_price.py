from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.price import (
    MAX_TOKENS,
    MAX_USD,
    BadPriceError,
    Cost,
    OwnCost,
    Price,
    cost,
    own_cost,
    read_price,
)
from ledger.sighting import Labels, Usage

PRICES = {
    "0.15/0.075/0.6": Price(150_000, 75_000, 600_000),
    "2//10": Price(2_000_000, 2_000_000, 10_000_000),
    "0/0/0": Price(0, 0, 0),
    "0.000001/0/10000": Price(1, 0, 10**10),
    "3.000000/0.3/15": Price(3_000_000, 300_000, 15_000_000),
}


@pytest.mark.parametrize(("text", "price"), PRICES.items())
def test_prices(text, price):
    assert read_price(text) == price


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1/2", "1/2/3/4", "/1/2", "1/2/", "-1/1/1", "+1/1/1", "1e3/1/1", "0.1234567/1/1",
        "1,5/1/1", " 1/1/1", "1/1/1\n", "nan/1/1", "inf/1/1", "\u0661/1/1", "10000.000001/1/1", "1_0/1/1",
        ".5/1/1", "1./1/1", "1/ /1",
    ],
)  # fmt: skip
def test_what_is_no_price(text):
    with pytest.raises(BadPriceError):
        read_price(text)


COSTS = {
    "all known": ("1/0.5/2", Usage(10, 3, 4), Cost(6_000_000, 2_000_000, 6_000_000)),
    "cached not reported": ("1/0.5/2", Usage(10, 3), Cost(10_000_000, 0, 6_000_000)),
    "more cached than there was": ("1/0.5/2", Usage(10, 3, 99), Cost(0, 5_000_000, 6_000_000)),
    "no completion known": ("1//2", Usage(10, None, 0), Cost(10_000_000, 0, None)),
    "no prompt known": ("1//2", Usage(None, 3), Cost(None, None, 6_000_000)),
    "nothing known": ("1//2", Usage(), Cost()),
    "no price": (None, Usage(10, 3, 4), Cost()),
    "nothing used, no price": (None, Usage(0, 0, 0), Cost(0, 0, 0)),
    "half used, no price": (None, Usage(10, 0, 0), Cost(None, 0, 0)),
    "free": ("0/0/0", Usage(10, 3, 4), Cost(0, 0, 0)),
}


@pytest.mark.parametrize(("price", "usage", "expected"), COSTS.values(), ids=COSTS)
def test_cost(price, usage, expected):
    assert cost(price, usage) == expected


def test_the_dearest_request_fits_into_64_bits():
    dearest = cost(f"{MAX_USD}//{MAX_USD}", Usage(MAX_TOKENS, MAX_TOKENS, 0))
    assert dearest.uncached_pusd == dearest.completion_pusd < 2**63


@given(
    micros=st.lists(st.integers(0, MAX_USD * 10**6), min_size=3, max_size=3),
    tokens=st.lists(st.integers(0, MAX_TOKENS), min_size=3, max_size=3),
)
def test_cost_is_exact(micros, tokens):
    prompt, completion, cached = tokens[0], tokens[1], min(tokens[2], tokens[0])
    text = "/".join(f"{micro // 10**6}.{micro % 10**6:06}" for micro in micros)
    found = cost(text, Usage(prompt, completion, cached))
    usd_per_token = [Fraction(micro, 10**6) / 10**6 for micro in micros]
    used = (prompt - cached, cached, completion)
    spent = (found.uncached_pusd, found.cached_pusd, found.completion_pusd)
    assert [Fraction(pusd, 10**12) for pusd in spent] == [
        price * count for price, count in zip(usd_per_token, used, strict=True)
    ]


RATES = Labels(prefill_tokens_per_s="1000", decode_tokens_per_s="50", gpus="2", watts="500")
DEAR = Labels(
    prefill_tokens_per_s="1000",
    decode_tokens_per_s="50",
    watts="360",
    usd_per_gpu_hour="3.6",
    usd_per_kwh="0.2",
)
OWN_COSTS = {
    # (60 / 1000 + 10 / 50) s * 2 GPUs; at 500 W.
    "time and energy": (RATES, Usage(100, 10, 40), OwnCost(520_000, 260_000)),
    # 0.3 s at 3.6 USD an hour is 0.0003 USD; 0.3 s * 360 W = 108 J, 30 millionths of a kWh.
    "and money": (DEAR, Usage(100, 10), OwnCost(300_000, 108_000, 300_000_000 + 6_000_000)),
    "nothing to do": (DEAR, Usage(0, 0, 0), OwnCost(0, 0, 0)),
    "unknown tokens": (DEAR, Usage(100, None), OwnCost()),
    "no labels": (None, Usage(100, 10), OwnCost()),
    "no rates": (Labels(gpu="h100", usd_per_gpu_hour="3"), Usage(100, 10), OwnCost()),
    "only rent": (
        Labels(prefill_tokens_per_s="10", decode_tokens_per_s="1", usd_per_gpu_hour="3.6"),
        Usage(100, 10),
        OwnCost(20_000_000, None, 20_000_000_000),
    ),
}


@pytest.mark.parametrize(("labels", "usage", "expected"), OWN_COSTS.values(), ids=OWN_COSTS)
def test_own_cost(labels, usage, expected):
    assert own_cost(labels, usage) == expected


@pytest.mark.parametrize("text", ["-1", "0", "nan", "inf", "1e-9", "1e99", "fast", "", "1e-999999"])
def test_a_rate_that_makes_no_sense_makes_no_cost(text):
    labels = Labels(prefill_tokens_per_s=text, decode_tokens_per_s="50")
    assert own_cost(labels, Usage(1, 1)) == OwnCost()


def test_a_cost_that_makes_no_sense_is_unknown():
    labels = Labels(prefill_tokens_per_s="1e-6", decode_tokens_per_s="1e-6", gpus="1e12")
    assert own_cost(labels, Usage(MAX_TOKENS, 0)) == OwnCost()
