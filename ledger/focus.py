"""Charges as the FinOps Open Cost and Usage Specification has them: FOCUS 1.2, "Cost and Usage".

Each charge becomes a row for each class of its tokens: prompt tokens that were not cached, prompt
tokens that were, completion tokens. A tenant is a billing account, a project a sub account, a model
a resource. Corrections are told in the accounting style, by reversals. Which column holds what, and
which columns FOCUS leaves to the provider, is told in docs/ledger.md.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from ledger.charges import BASE, Charge
from ledger.figures import Figures
from ledger.files import Column, Kind, Value
from ledger.price import BadPriceError, Price, read_price

VERSION = "1.2"

NOBODY = "unattributed"
"""Billing account of requests whose tenant is not known: FOCUS wants one for every row."""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenClass:
    """One of the three things that a model sells."""

    name: str
    """In sku ids."""
    meter: str
    tokens: Callable[[Figures], int]
    pusd: Callable[[Figures], int]
    price: Callable[[Price], int]


CLASSES = (
    TokenClass(
        "prompt",
        "Prompt Tokens",
        lambda each: each.prompt_tokens - each.cached_tokens,
        lambda each: each.uncached_pusd,
        lambda price: price.uncached_pusd,
    ),
    TokenClass(
        "cached-prompt",
        "Cached Prompt Tokens",
        lambda each: each.cached_tokens,
        lambda each: each.cached_pusd,
        lambda price: price.cached_pusd,
    ),
    TokenClass(
        "completion",
        "Completion Tokens",
        lambda each: each.completion_tokens,
        lambda each: each.completion_pusd,
        lambda price: price.completion_pusd,
    ),
)

_KINDS: Mapping[str, Kind] = {
    "BilledCost": "usd",
    "BillingAccountId": "text",
    "BillingAccountName": "text",
    "BillingAccountType": "text",
    "BillingCurrency": "text",
    "BillingPeriodEnd": "time",
    "BillingPeriodStart": "time",
    "ChargeCategory": "text",
    "ChargeClass": "text",
    "ChargeDescription": "text",
    "ChargeFrequency": "text",
    "ChargePeriodEnd": "time",
    "ChargePeriodStart": "time",
    "ConsumedQuantity": "whole",
    "ConsumedUnit": "text",
    "ContractedCost": "usd",
    "ContractedUnitPrice": "usd",
    "EffectiveCost": "usd",
    "InvoiceIssuerName": "text",
    "ListCost": "usd",
    "ListUnitPrice": "usd",
    "PricingCategory": "text",
    "PricingQuantity": "millionths",
    "PricingUnit": "text",
    "ProviderName": "text",
    "PublisherName": "text",
    "RegionId": "text",
    "RegionName": "text",
    "ResourceId": "text",
    "ResourceName": "text",
    "ResourceType": "text",
    "ServiceCategory": "text",
    "ServiceName": "text",
    "ServiceSubcategory": "text",
    "SkuId": "text",
    "SkuMeter": "text",
    "SkuPriceDetails": "text",
    "SkuPriceId": "text",
    "SubAccountId": "text",
    "SubAccountName": "text",
    "SubAccountType": "text",
    "Tags": "text",
}
COLUMNS = [Column(name, kind) for name, kind in _KINDS.items()]

_encode = msgspec.json.Encoder(order="sorted").encode


def rows(charge: Charge, provider: str) -> Iterator[list[Value]]:
    """Write a charge as rows; a class of tokens that it has nothing of is left out."""
    shared = _shared(charge, provider)
    price = _price(charge.values["price"])
    for each in CLASSES:
        tokens, pusd = each.tokens(charge.figures), each.pusd(charge.figures)
        if tokens or pusd:
            cells = shared | _of_class(charge, each, tokens, pusd, each.price(price))
            yield [cells[name] for name in _KINDS]


def _shared(charge: Charge, provider: str) -> dict[str, Value]:
    """Fill the columns that are the same for every class of tokens."""
    tenant, project = charge.values["tenant"] or NOBODY, charge.values["project"]
    model, region = charge.values["model"], charge.values["region"]
    tags = {
        f"headgate/{name}": value
        for name, value in charge.values.items()
        if name not in BASE and value is not None
    }
    return {
        "BillingAccountId": tenant,
        "BillingAccountName": tenant,
        "BillingAccountType": "Tenant",
        "BillingCurrency": "USD",
        "BillingPeriodStart": charge.billing[0],
        "BillingPeriodEnd": charge.billing[1],
        "ChargeCategory": "Usage",
        "ChargeClass": "Correction" if charge.is_correction else None,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": charge.period[0],
        "ChargePeriodEnd": charge.period[1],
        "ConsumedUnit": "Tokens",
        "InvoiceIssuerName": provider,
        "PricingCategory": "Standard",
        "PricingUnit": "1000000 Tokens",
        "ProviderName": provider,
        "PublisherName": provider,
        "RegionId": region,
        "RegionName": region,
        "ResourceId": model,
        "ResourceName": model,
        "ResourceType": None if model is None else "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "LLM Inference",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": project,
        "SubAccountName": project,
        "SubAccountType": None if project is None else "Project",
        "Tags": _encode(tags).decode() if tags else None,
    }


def _of_class(
    charge: Charge, each: TokenClass, tokens: int, pusd: int, unit_pusd: int
) -> dict[str, Value]:
    """Fill the columns of one class of tokens. Quantity times unit price is the cost, exactly."""
    model = charge.values["model"] or NOBODY
    # Tokens that were used and are not charged, such as those of a count_tokens, were not priced.
    priced = pusd // unit_pusd if unit_pusd else tokens
    sku = f"{model}/{each.name}"
    return {
        "BilledCost": pusd,
        "ChargeDescription": f"{each.meter} of {model}",
        "ConsumedQuantity": tokens,
        "ContractedCost": pusd,
        "ContractedUnitPrice": unit_pusd * _MILLION,
        "EffectiveCost": pusd,
        "ListCost": pusd,
        "ListUnitPrice": unit_pusd * _MILLION,
        "PricingQuantity": priced,
        "SkuId": sku,
        "SkuMeter": each.meter,
        "SkuPriceDetails": _encode({"Model": model, "TokenClass": each.name}).decode(),
        "SkuPriceId": sku,
    }


def _price(text: str | None) -> Price:
    """Read a price; what has none is not charged for."""
    try:
        return Price(0, 0, 0) if text is None else read_price(text)
    except BadPriceError:
        return Price(0, 0, 0)
