"""What a policy says of the cache, compiled."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from extproc.cache.key import Sharing
from extproc.request import Identity, Model
from ledger.price import BadPriceError, read_price


class SemanticRule(msgspec.Struct, frozen=True):
    """How alike two questions must sound. The guard has the last word."""

    threshold: float = 0.75
    """Cosine of their vectors."""


class CacheRule(msgspec.Struct, frozen=True):
    """For whom answers are kept, and how."""

    tenants: frozenset[str] = frozenset()
    """None: everybody."""
    models: frozenset[str] = frozenset()
    ttl_s: int = 3600
    sharing: Sharing = "tenant"
    most_temperature: float = 0.3
    bill: Decimal = Decimal(0)
    """The part of its price that a hit costs."""
    charge_limits: bool = False
    """Whether a hit takes from limits."""
    stale_if_error_s: int = 0
    """How long beyond its time an answer is kept for when no engine can answer."""
    wait_s: float = 5.0
    """How long a request waits for the answer to an equal one."""
    most_bytes: int = 256 * 1024
    """Of an answer."""
    semantic: SemanticRule | None = None

    def may_cover(self, tenant: str) -> bool:
        return not self.tenants or tenant in self.tenants

    def covers(self, identity: Identity, model: Model) -> bool:
        return self.may_cover(identity.tenant) and (not self.models or model.name in self.models)


def find_rule(rules: Sequence[CacheRule], identity: Identity, model: Model) -> CacheRule | None:
    """The first that is for a request counts."""
    return next((rule for rule in rules if rule.covers(identity, model)), None)


def discount(price: str, part: Decimal) -> str:
    """Take a part of a price, `INPUT/CACHED/OUTPUT`, to a millionth of a dollar for a million tokens;
    no price stays none. What nobody can read stays as it is, to be told of by the ledger."""
    try:
        read_price(price)
    except BadPriceError:
        return price
    return "/".join(scale(usd, part) for usd in price.split("/"))


def scale(usd: str, part: Decimal) -> str:
    if not usd:
        return ""
    text = f"{(Decimal(usd) * part).quantize(Decimal('0.000001')):f}"
    return text.rstrip("0").rstrip(".") or "0"
