"""What counts against a client. Pure."""

from typing import Literal

import msgspec

from extproc.decision import Outcome
from extproc.errors import Reason
from extproc.guards.base import Growth
from extproc.guards.subjects import is_service, name_address, name_witness
from extproc.identity.keys import Network, is_within
from extproc.limits.base import LARGEST, Algorithm, Limit, Unit
from extproc.request import Kind

COUNTED = frozenset(
    reason.value.code
    for reason in Reason
    if reason.value.blame == "client" and reason is not Reason.BANNED
)
"""Codes of the refusals that are a client's own fault: failed authentication, what is forbidden, not
there, malformed or above a limit. Not what is ours (5xx), and not what a ban refuses: it would never
end."""
UNCOUNTED = frozenset({Kind.COUNT_TOKENS.value, Kind.MODELS.value, Kind.USAGE.value})
"""Operations whose prompts no engine reads: they would only thin out the long ones."""

REFUSALS, PROMPTS, LONG_PROMPTS = "guard-refusals", "guard-prompts", "guard-long-prompts"
"""Names under which is counted. A limit of the policy that is called the same counts apart: subjects have
a colon in front, which no scope of a limit has."""


def window(name: str, most: int, period_s: int) -> Limit:
    """A limit to count by. It counts tokens, because what was reserved of them may be settled at any
    number; requests are settled at one."""
    return Limit(
        name=name,
        algorithm=Algorithm.SLIDING_WINDOW,
        unit=Unit.PROMPT_TOKENS,
        amount=most,
        period_s=period_s,
        on_fault="local",
    )


class RefusalRule(msgspec.Struct, frozen=True):
    """Bans whoever is refused more often than `limit` allows."""

    limit: Limit
    growth: Growth
    exempt: tuple[Network, ...] = ()
    shadow: bool = False

    def blame(self, outcome: Outcome) -> str:
        """Name the subject that a refusal counts for: who was identified, else where it came from.
        Empty when it does not count. 0.5 us for what was not refused."""
        witness = outcome.witness
        if "deny" not in witness or str(witness["deny"]) not in COUNTED or is_service(witness):
            return ""
        if self.exempt and is_within(outcome.client_ip, self.exempt):
            return ""
        return name_witness(witness) or name_address(outcome.client_ip)


class PromptRule(msgspec.Struct, frozen=True):
    """Refuses long prompts of whoever sends too many of them."""

    all: Limit
    long: Limit
    tokens: int
    """Above this a prompt is long."""
    share: float
    least_requests: int
    for_s: float
    shadow: bool = False

    @property
    def growth(self) -> Growth:
        return Growth(self.for_s, 1, self.for_s)

    def measure(self, outcome: Outcome) -> tuple[str, Literal[0, 1]] | None:
        """Name who sent a prompt to an engine, and say whether it was long; None when it does not
        count. Our own count stands in for what the engine does not tell."""
        witness = outcome.witness
        if "prompt_estimate" not in witness or "deny" in witness:
            return None
        subject = name_witness(witness)
        if not subject or str(witness.get("operation")) in UNCOUNTED:
            return None
        tokens = outcome.tokens("prompt_tokens")
        counted = int(witness["prompt_estimate"]) if tokens is None else tokens
        return subject, 1 if counted > self.tokens else 0

    def is_too_much(self, requests: int, long: int) -> bool:
        return requests >= self.least_requests and long > self.share * requests


def prompt_windows(period_s: int) -> tuple[Limit, Limit]:
    """Windows to count all prompts by, and the long ones. Nothing is ever above them."""
    return window(PROMPTS, LARGEST, period_s), window(LONG_PROMPTS, LARGEST, period_s)
