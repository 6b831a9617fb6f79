"""FOCUS 1.2: the columns that are mandatory there, what they may hold, and that costs come out right."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.charges import BASE, Bill, Charge, charges
from ledger.figures import Figures
from ledger.files import write_value
from ledger.focus import COLUMNS, rows
from ledger.price import cost, read_price
from ledger.sighting import Usage
from ledger.sql import open_ledger
from ledger.store import Change
from tests.ledger import books, naive

MANDATORY = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory",
    "ServiceName", "ServiceSubcategory",
)  # fmt: skip
NULLABLE = {
    "ChargeClass", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType",
    "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
}  # fmt: skip
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")
NAMES = [column.name for column in COLUMNS]
DAY = 86_400_000


USAGE = Usage(300, 20, 100)


def charge(price="0.15/0.075/0.6", usage=USAGE, is_correction=False, **values):
    known = dict.fromkeys(BASE) | {"tenant": "acme", "model": "tiny", "price": price} | values
    priced = cost(None if price == "nonsense" else price, usage)
    figures = Figures(
        requests=1,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        uncached_pusd=priced.uncached_pusd or 0,
        cached_pusd=priced.cached_pusd or 0,
        completion_pusd=priced.completion_pusd or 0,
    )
    return Charge((0, DAY), (0, 31 * DAY), is_correction, known, figures)


def told(each):
    return [dict(zip(NAMES, row, strict=True)) for row in rows(each, "Platform")]


def test_columns_are_those_of_focus_in_their_order():
    assert set(MANDATORY) <= set(NAMES)
    assert sorted(NAMES) == NAMES


def test_a_charge_is_a_row_for_each_class_of_tokens():
    found = told(charge(project="web", region="eu", user="alice"))
    assert [(row["SkuId"], row["ConsumedQuantity"]) for row in found] == [
        ("tiny/prompt", 200),
        ("tiny/cached-prompt", 100),
        ("tiny/completion", 20),
    ]
    first = {column.name: column for column in COLUMNS}
    texts = {
        name: value if value is None else write_value(first[name].kind, value)
        for name, value in found[0].items()
    }
    assert texts == {
        "BilledCost": "0.00003",
        "BillingAccountId": "acme",
        "BillingAccountName": "acme",
        "BillingAccountType": "Tenant",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "1970-02-01T00:00:00Z",
        "BillingPeriodStart": "1970-01-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": "Prompt Tokens of tiny",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "1970-01-02T00:00:00Z",
        "ChargePeriodStart": "1970-01-01T00:00:00Z",
        "ConsumedQuantity": "200",
        "ConsumedUnit": "Tokens",
        "ContractedCost": "0.00003",
        "ContractedUnitPrice": "0.15",
        "EffectiveCost": "0.00003",
        "InvoiceIssuerName": "Platform",
        "ListCost": "0.00003",
        "ListUnitPrice": "0.15",
        "PricingCategory": "Standard",
        "PricingQuantity": "0.0002",
        "PricingUnit": "1000000 Tokens",
        "ProviderName": "Platform",
        "PublisherName": "Platform",
        "RegionId": "eu",
        "RegionName": "eu",
        "ResourceId": "tiny",
        "ResourceName": "tiny",
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "LLM Inference",
        "ServiceSubcategory": "Generative AI",
        "SkuId": "tiny/prompt",
        "SkuMeter": "Prompt Tokens",
        "SkuPriceDetails": '{"Model":"tiny","TokenClass":"prompt"}',
        "SkuPriceId": "tiny/prompt",
        "SubAccountId": "web",
        "SubAccountName": "web",
        "SubAccountType": "Project",
        "Tags": '{"headgate/user":"alice"}',
    }


def test_corrections_say_so():
    assert {row["ChargeClass"] for row in told(charge(is_correction=True))} == {"Correction"}
    assert {row["ChargeClass"] for row in told(charge())} == {None}


@pytest.mark.parametrize("price", [None, "nonsense", "0/0/0"])
def test_what_has_no_price_costs_nothing(price):
    found = told(charge(price))
    assert [row["ConsumedQuantity"] for row in found] == [200, 100, 20]
    for row in found:
        assert row["PricingQuantity"] == row["ConsumedQuantity"]
        assert row["ListUnitPrice"] == row["BilledCost"] == 0


def test_tokens_that_were_not_charged_were_not_priced():
    free = charge()
    counted = Charge(free.period, free.billing, False, free.values, Figures(prompt_tokens=7))
    (row,) = told(counted)
    assert (row["ConsumedQuantity"], row["PricingQuantity"], row["BilledCost"]) == (7, 0, 0)
    assert row["ListUnitPrice"] == 150_000_000_000


def test_nothing_used_is_no_row():
    assert told(charge(usage=Usage(0, 0, 0))) == []


PRICES = st.decimals(0, 10_000, places=6).map(lambda usd: f"{usd:f}")


@given(prices=st.tuples(PRICES, PRICES, PRICES), usage=st.tuples(*[st.integers(0, 2**24)] * 3))
def test_quantity_times_price_is_cost(prices, usage):
    prompt, completion, cached = usage
    text = "/".join(prices)
    found = told(charge(text, Usage(prompt, completion, min(cached, prompt))))
    for row in found:
        assert row["PricingQuantity"] * row["ListUnitPrice"] == row["ListCost"] * 10**6
        assert row["PricingQuantity"] * row["ContractedUnitPrice"] == row["ContractedCost"] * 10**6
        for name, value in row.items():
            assert value is not None or name in NULLABLE, name
            assert value != "", name
    unit = read_price(text)
    uncached = prompt - min(cached, prompt)
    expected = uncached * unit.uncached_pusd + min(cached, prompt) * unit.cached_pusd
    assert sum(row["BilledCost"] for row in found) == expected + completion * unit.completion_pusd


def test_sums_are_the_ledgers(where):
    ledger = open_ledger(where)
    ledger.commit(Change(rows=naive.make_rows(80), booked_ms=naive.ms(naive.BEGIN)))
    for row in naive.make_rows(20, seed=9):
        before = ledger.rows([row.settle_key])
        ledger.commit(
            Change(rows=[row], replaced=before, booked_ms=naive.ms(naive.BEGIN) + 40 * DAY)
        )
    ledger.close()
    entries = [books.named(entry) for entry in books.entries(where)]
    since, until = (
        naive.ms(datetime(2026, 10, 1, tzinfo=UTC)),
        naive.ms(datetime(2027, 1, 1, tzinfo=UTC)),
    )
    with books.reading(where) as connection:
        bill = Bill(since, until, "hour", more=["user", "endpoint"])
        found = [row for each in charges(connection, bill) for row in told(each)]
    parts = ("uncached_pusd", "cached_pusd", "completion_pusd")
    cost_pusd = sum(entry[name] or 0 for entry in entries for name in parts)
    for name in COSTS:
        assert sum(row[name] for row in found) == cost_pusd
    tokens = sum((e["prompt_tokens"] or 0) + (e["completion_tokens"] or 0) for e in entries)
    assert sum(row["ConsumedQuantity"] for row in found) == tokens
    assert {row["ChargeClass"] for row in found} == {None, "Correction"}
    for row in found:
        assert all(isinstance(each, str) for each in json.loads(row["Tags"] or "{}").values())
