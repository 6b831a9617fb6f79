"""What is told of a group: counts, tokens, cost, time to first token. Pure."""

import msgspec

from ledger.rollup import SUMS, Tally, quantile

PUSD = 12
"""Decimal places of a US dollar in `_pusd`."""


class Figures(msgspec.Struct, frozen=True):
    """Sums over requests; what is unknown of one adds nothing.

    The fields but the last two are those of `rollup.SUMS`."""

    requests: int = 0
    denied: int = 0
    """Refused by Headgate."""
    unpriced: int = 0
    """Of unknown cost, for want of a price or of tokens."""
    unsettled: int = 0
    estimated: int = 0
    cut: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """A part of prompt_tokens."""
    uncached_pusd: int = 0
    """1e-12 US dollars, as all `_pusd`: exact, and not bound to 64 bits."""
    cached_pusd: int = 0
    completion_pusd: int = 0
    gpu_us: int = 0
    energy_mj: int = 0
    own_pusd: int = 0
    """What serving cost the operator, by the cost model."""
    ttft_p50_us: int | None = None
    """Over successful answers, within 1/32 of the nearest rank; None when there were none."""
    ttft_p95_us: int | None = None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost_pusd(self) -> int:
        return self.uncached_pusd + self.cached_pusd + self.completion_pusd


def figures_of(tally: Tally) -> Figures:
    p50, p95 = (quantile(tally.ttft, share) for share in (0.50, 0.95))
    sums = dict(zip(SUMS, tally.sums, strict=True))
    return Figures(**sums, ttft_p50_us=p50, ttft_p95_us=p95)


def write_usd(pusd: int) -> str:
    """Write US dollars: exact, without an exponent or zeros at the end."""
    return write_decimal(pusd, PUSD)


def write_decimal(number: int, digits: int) -> str:
    """Write a number with the last `digits` of it behind the point, but for zeros at the end."""
    whole, rest = divmod(abs(number), 10**digits)
    text = f"{whole}.{rest:0{digits}}".rstrip("0").rstrip(".")
    return f"-{text}" if number < 0 else text
