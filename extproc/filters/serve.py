"""Gives an answer that was kept, in the form it is wanted, and says what the ledger is to know of it.

make_reply   writes it, when `cache.py` has found it
ServeHit     gives it to those whose hits take from limits, which stand in between
"""

from typing import ClassVar, Literal

import msgspec

from extproc.cache.answer import Answer
from extproc.cache.eligible import Control
from extproc.cache.rules import CacheRule, discount
from extproc.cache.turn import Sought
from extproc.cache.written import Form, content_type, write
from extproc.decision import Decision, Reply
from extproc.filter import Filter
from extproc.request import Body, Fact, Model, Prompt, Request, Scalar

POOL = "(cache)"
"""What stands as the pool in the ledger; no pool can be called so."""
HEADER = "x-headgate-cache"

How = Literal["exact", "semantic", "coalesced", "stale"]


class Hit(Fact, frozen=True):
    """An answer that is there, and is given when limits have had their say."""

    reply: Reply


class Look(msgspec.Struct, frozen=True):
    """One request on its way through the cache."""

    request: Request
    rule: CacheRule
    key: str
    control: Control
    sought: Sought | None = None


class ServeHit(Filter):
    """Behind limits: they have counted what is given now."""

    name: ClassVar[str] = "serve_hit"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Body})

    async def decide(self, request: Request) -> Decision:
        hit = request.find(Hit)
        return request if hit is None else hit.reply


def make_reply(look: Look, answer: Answer, said: str, made_s: int) -> Reply:
    """Write the answer as it is wanted, and what the ledger is to know of it."""
    request = look.request
    prompt, model = request.fact(Prompt), request.fact(Model)
    form = Form(request.settle_key, made_s, prompt.stream, prompt.wants_usage)
    witness: dict[str, Scalar] = {"cache": said, "pool": POOL}
    if model.price:
        witness["price"] = discount(model.price, look.rule.bill)
    return Reply(
        write(answer, form),
        content_type(form),
        headers={
            HEADER: said,
            "x-headgate-model": model.name,
            "x-headgate-track": model.track,
            "x-headgate-version": model.version,
        },
        witness=witness,
        usage={
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
        },
    )
