"""How fast an endpoint is, as learned from successive looks."""

import msgspec


class Rates(msgspec.Struct, frozen=True):
    """What an endpoint has shown it can do; None is not learned yet."""

    prefill_tokens_per_s: float | None = None
    itl_s: float | None = None
    """Between two tokens, at the load of late."""


UNKNOWN = Rates()
