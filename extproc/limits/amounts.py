"""How much a request is going to take, and how much it has taken: tokens to a limit's unit."""

import msgspec

from extproc.decision import Outcome
from extproc.limits.base import LARGEST, Limit, Spent, Unit
from ledger.price import MAX_TOKENS, BadPriceError, cost
from ledger.sighting import Usage

PUSD_PER_NANO = 1000
"""The ledger counts in 1e-12 US dollars, limits in 1e-9, which fit a double. Rounded up."""


class Estimate(msgspec.Struct, frozen=True):
    """What is known before an engine has seen the request."""

    prompt_tokens: int
    longest_prompt_tokens: int
    """What the prompt cannot exceed, when the count is a guess."""
    expected_tokens: int
    """Of the answer, as answers to this key by this model usually are."""
    most_tokens: int
    """Of the answer, if it goes on for as long as it may."""
    price: str = ""

    def first(self, tokens: int) -> "Estimate":
        """Expect no more than so many tokens of the answer: what is watched goes on from there."""
        return msgspec.structs.replace(self, expected_tokens=min(tokens, self.expected_tokens))

    def amount(self, limit: Limit, *, in_full: bool = False) -> int:
        """Say what to reserve, in the limit's unit: the usual answer, or the longest."""
        surely = in_full or limit.strict
        prompt_tokens = self.longest_prompt_tokens if surely else self.prompt_tokens
        answer_tokens = self.most_tokens if surely else self.expected_tokens
        match limit.unit:
            case Unit.TOKENS:
                return min(prompt_tokens + answer_tokens, LARGEST)
            case Unit.PROMPT_TOKENS:
                return min(prompt_tokens, LARGEST)
            case Unit.COMPLETION_TOKENS:
                return min(answer_tokens, LARGEST)
            case Unit.USD:
                usage = Usage(prompt_tokens, answer_tokens, 0)
                return min(nano_usd(self.price, usage), LARGEST)
            case Unit.REQUESTS | Unit.CONCURRENT:
                return 1


def nano_usd(price: str, usage: Usage) -> int:
    """Price tokens, rounded up to 1e-9 US dollars; free where there is no price."""
    if not price:
        return 0
    try:
        parts = cost(price, usage)
    except BadPriceError:  # not one of ours: metadata of a worker of another version
        return 0
    known = (parts.uncached_pusd, parts.cached_pusd, parts.completion_pusd)
    return -(-sum(part or 0 for part in known) // PUSD_PER_NANO)


def spent(outcome: Outcome, prompt_tokens: int, price: str) -> Spent | None:
    """Say what a request has used at its end; None when that is nothing.

    `prompt_tokens` is our own count: it stands in when an engine worked and never said what it
    read, because the client left before the first word.
    """
    read = said(outcome, "prompt_tokens")
    if read is None:
        gone = outcome.status == 0 and outcome.attempts > 0
        if not gone and not 200 <= outcome.status < 300:
            return None
        read = prompt_tokens if outcome.attempts > 0 else 0
    cached, written = said(outcome, "cached_tokens") or 0, said(outcome, "completion_tokens") or 0
    used = Usage(read, written, min(cached, read))
    return Spent(read, min(cached, read), written, nano_usd(price, used))


def said(outcome: Outcome, name: str) -> int | None:
    """Read what an engine said of its tokens. Nonsense says nothing, as in the ledger: nobody is kept
    out for years by one wrong number."""
    tokens = outcome.tokens(name)
    return tokens if tokens is not None and 0 <= tokens <= MAX_TOKENS else None
