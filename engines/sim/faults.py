"""The faults a request may ask for. What each one does is told in the package's text."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    ERROR_500 = "error_500"
    ERROR_503 = "error_503"
    CUT_BEFORE_HEADERS = "cut_before_headers"
    CUT_AFTER_HEADERS = "cut_after_headers"
    CUT_AFTER = "cut_after"
    HANG = "hang"
    SLOW = "slow"
    HUGE = "huge"
    DRIP = "drip"


@dataclass(frozen=True, slots=True)
class Fault:
    """`amount` is what follows the colon: events, letters or bytes. 0 where there is none."""

    kind: Kind
    amount: int = 0


# Smallest and largest amount. 64 MiB is four times the largest request that the gateway takes:
# enough to overrun every buffer on the way, and not this process.
_AMOUNTS = {Kind.CUT_AFTER: (0, 1 << 30), Kind.HUGE: (1, 64 << 20), Kind.DRIP: (1, 64 << 20)}

SLOW_FACTOR = 10


def parse_fault(text: str) -> Fault:
    """Read `kind` or `kind:amount`. Raises ValueError with a message fit for the client."""
    name, colon, digits = text.partition(":")
    try:
        kind = Kind(name)
    except ValueError:
        raise ValueError(f"no such fault; there are {', '.join(Kind)}") from None
    if kind not in _AMOUNTS:
        if colon:
            raise ValueError(f"{kind} takes no amount")
        return Fault(kind)
    least, most = _AMOUNTS[kind]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise ValueError(f"{kind} needs an amount: {kind}:N")
    amount = int(digits)
    if not least <= amount <= most:
        raise ValueError(f"{kind} needs an amount between {least} and {most}")
    return Fault(kind, amount)
