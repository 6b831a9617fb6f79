"""Ends of requests, rules, and a clock for tests of guards."""

from extproc.decision import Outcome
from extproc.guards.base import Growth
from extproc.guards.rules import REFUSALS, PromptRule, RefusalRule, prompt_windows, window

NOW_S = 1_800_000_000
GROWTH = Growth(60, 2, 86400)
REFUSAL_RULE = RefusalRule(window(REFUSALS, 100, 60), GROWTH)
PROMPT_RULE = PromptRule(
    *prompt_windows(300), tokens=5000, share=0.3, least_requests=20, for_s=600
)  # fmt: skip


class Clock:
    """One clock in all units, moved by hand."""

    def __init__(self):
        self.now_s = float(NOW_S)

    def s(self):
        return self.now_s

    def ms(self):
        return round(self.now_s * 1000)

    def us(self):
        return round(self.now_s * 1_000_000)


def refused(code="invalid_api_key", ip="192.0.2.1", status=401, **known):
    return Outcome({"settle_key": "k", "deny": code, **known}, status, 0, (), client_ip=ip)


def answered(prompt_tokens=100, *, estimate=100, **known):
    witness = {
        "settle_key": "k", "tenant": "acme", "key_id": "acme-1", "operation": "chat",
        "prompt_estimate": float(estimate), **known,
    }  # fmt: skip
    usage = {} if prompt_tokens is None else {"prompt_tokens": float(prompt_tokens)}
    return Outcome(witness, 200, 1, (), usage)
