"""What a request costs: its price in tokens, and what it costs us to serve. Pure and exact.

A price is `INPUT/CACHED/OUTPUT` in US dollars per million tokens, each with at most six decimals,
such as `0.15/0.075/0.6`; CACHED may be empty and is then INPUT. One token therefore costs a whole
number of `_pusd` (1e-12 US dollars), and no sum is ever rounded.

The cost of serving is a model, not a measurement: the time that a request's tokens keep GPUs busy
at the rates the catalog names, and what that time costs in rent and energy.
"""

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import msgspec

from ledger.sighting import Labels, Usage

MAX_USD = 10_000
"""Highest price per million tokens; dearer is a slip of the pen."""

MAX_TOKENS = 2**24
"""Most tokens of one kind in one request: beyond the context of any model. At the highest price that
is 1.7e17 pusd, and 64 bits hold the sum of fifty such requests in a quarter of an hour."""

_PRICE = re.compile(
    r"(\d{1,6}(?:\.\d{1,6})?)/(\d{1,6}(?:\.\d{1,6})?)?/(\d{1,6}(?:\.\d{1,6})?)", re.ASCII
)
_FITS = 2**50
"""Results above are nonsense in the labels: unknown rather than booked."""
_SMALLEST, _LARGEST = Decimal("1e-6"), Decimal("1e12")
_CACHED = 4096
"""Distinct prices and label sets kept parsed: more than any catalog has in force."""


class BadPriceError(ValueError):
    """A text that is no price."""


class Price(msgspec.Struct, frozen=True):
    """Per token, in 1e-12 US dollars."""

    uncached_pusd: int
    cached_pusd: int
    completion_pusd: int


class Cost(msgspec.Struct, frozen=True):
    """What one request costs its tenant, by class of token; None is unknown."""

    uncached_pusd: int | None = None
    cached_pusd: int | None = None
    completion_pusd: int | None = None


class OwnCost(msgspec.Struct, frozen=True):
    """What one request cost us by the model; None is not said."""

    gpu_us: int | None = None
    """GPU microseconds."""
    energy_mj: int | None = None
    """Millijoules."""
    own_pusd: int | None = None


@lru_cache(_CACHED)
def read_price(text: str) -> Price:
    """Read `INPUT/CACHED/OUTPUT`. Raises BadPriceError."""
    match = _PRICE.fullmatch(text)
    if match is None:
        raise BadPriceError(f"no price: {text!r}")
    uncached, cached, completion = match.group(1), match.group(2), match.group(3)
    # Per million tokens in USD is per token in 1e-6 USD: six decimals more make 1e-12.
    prices = [int(Decimal(usd).scaleb(6)) for usd in (uncached, cached or uncached, completion)]
    if max(prices) > MAX_USD * 10**6:
        raise BadPriceError(f"above {MAX_USD} US dollars per million tokens: {text!r}")
    return Price(*prices)


def cost(price: str | None, usage: Usage) -> Cost:
    """Price what was used. No tokens cost 0 at any price, and also without one.

    An engine that does not report cached tokens sells none as cached. Raises BadPriceError.
    """
    each = Cost() if price is None else read_price(price)
    completion_pusd = _times(usage.completion_tokens, each.completion_pusd)
    if usage.prompt_tokens is None:
        return Cost(None, None, completion_pusd)
    cached_tokens = min(usage.cached_tokens or 0, usage.prompt_tokens)
    return Cost(
        _times(usage.prompt_tokens - cached_tokens, each.uncached_pusd),
        _times(cached_tokens, each.cached_pusd),
        completion_pusd,
    )


def own_cost(labels: Labels | None, usage: Usage) -> OwnCost:
    """Model what serving `usage` cost. Unknown where tokens or labels are missing or make no sense.

    gpu_us = (uncached prompt / prefill rate + completion / decode rate) * gpus, rounded to a whole
    microsecond, half to even; the others follow from it.
    """
    rates = None if labels is None else _rates(labels)
    if rates is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return OwnCost()
    uncached = usage.prompt_tokens - min(usage.cached_tokens or 0, usage.prompt_tokens)
    busy_s = uncached * rates.prefill_s + usage.completion_tokens * rates.decode_s
    gpu_us = round(busy_s * rates.gpus * 1_000_000)
    energy_mj = None if rates.watts is None else round(gpu_us * rates.watts / 1000)
    rent = None if rates.pusd_per_gpu_us is None else gpu_us * rates.pusd_per_gpu_us
    power = None
    if energy_mj is not None and rates.pusd_per_mj is not None:
        power = energy_mj * rates.pusd_per_mj
    own_pusd = None if rent is None and power is None else round((rent or 0) + (power or 0))
    if max(gpu_us, energy_mj or 0, own_pusd or 0) > _FITS:
        return OwnCost()
    return OwnCost(gpu_us, energy_mj, own_pusd)


class _Rates(msgspec.Struct, frozen=True):
    """Labels as numbers. Seconds are per token."""

    prefill_s: Decimal
    decode_s: Decimal
    gpus: Decimal
    watts: Decimal | None
    pusd_per_gpu_us: Decimal | None
    pusd_per_mj: Decimal | None


@lru_cache(_CACHED)
def _rates(labels: Labels) -> _Rates | None:
    prefill, decode = _number(labels.prefill_tokens_per_s), _number(labels.decode_tokens_per_s)
    if not prefill or not decode:
        return None
    gpu_hour, kwh = _number(labels.usd_per_gpu_hour), _number(labels.usd_per_kwh)
    gpus = _number(labels.gpus)
    return _Rates(
        1 / prefill,
        1 / decode,
        Decimal(1) if gpus is None else gpus,
        _number(labels.watts),
        None if gpu_hour is None else gpu_hour * 10**12 / (3600 * 10**6),
        None if kwh is None else kwh * 10**12 / (3600 * 10**6),  # 1 kWh = 3.6e9 mJ
    )


def _number(text: str | None) -> Decimal | None:
    """Read a number between 1e-6 and 1e12, or 0; None for anything else."""
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    sane = number.is_finite() and (number == 0 or _SMALLEST <= number <= _LARGEST)
    return number if sane else None


def _times(tokens: int | None, pusd: int | None) -> int | None:
    if tokens == 0:
        return 0
    return None if tokens is None or pusd is None else tokens * pusd
