"""Which rule is for whom, and what a hit costs."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.cache.rules import CacheRule, discount, find_rule
from extproc.request import Identity, Model
from ledger.price import read_price

ANN = Identity("acme", "k")


def test_the_first_that_covers_counts():
    rules = [
        CacheRule(tenants=frozenset({"acme"}), models=frozenset({"m"}), ttl_s=1),
        CacheRule(tenants=frozenset({"acme"}), ttl_s=2),
    ]
    assert find_rule(rules, ANN, Model("m", "p", "m")).ttl_s == 1
    assert find_rule(rules, ANN, Model("n", "p", "n")).ttl_s == 2
    assert find_rule(rules, Identity("globex", "k"), Model("m", "p", "m")) is None


@pytest.mark.parametrize(
    ("price", "part", "costs"),
    [
        ("10/5/20", "0.1", "1/0.5/2"),
        ("10//20", "0", "0//0"),
        ("0.15/0.075/0.6", "1", "0.15/0.075/0.6"),
        ("0.000001/0/0", "0.1", "0/0/0"),
        ("free", "0.5", "free"),
        ("", "0.5", ""),
    ],
)
def test_discounts(price, part, costs):
    assert discount(price, Decimal(part)) == costs


@given(st.integers(0, 10**10), st.integers(0, 10**6))
def test_a_part_of_a_price_is_a_price(micro, part):
    price = f"{Decimal(micro).scaleb(-6):f}//{Decimal(micro).scaleb(-6):f}"
    assert read_price(discount(price, Decimal(part).scaleb(-6))).completion_pusd <= micro + 1
