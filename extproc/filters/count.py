"""How many tokens a request is, and how many its answer may be; later, how wrong that was.

Envoy tells the ends of one of its threads to one worker, whoever has counted; so what engines say is passed
on, and all workers of the host learn alike (`counting/lasting.py`).
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

from engines.watch.messages import Used
from extproc.counting.counted import Counted, Truth
from extproc.counting.counter import Asked, Counter
from extproc.counting.expect import expect_completion
from extproc.counting.lengths import Lengths
from extproc.decision import Decision, Outcome
from extproc.dialects.lengths import ANSWERS
from extproc.filter import Filter
from extproc.request import Body, Fact, Identity, Kind, Model, Operation, Prompt, Request

Observe = Callable[[float, str, str], None]
"""The count divided by the truth, the model, and who had counted."""
MOST_TOKENS = 2**40
"""An engine that says more is mistaken; this many still fit into a message."""
GENERATING = frozenset(kind.value for kind in ANSWERS)


class Count(Filter):
    """What cannot be counted is estimated, so that the fact is always there."""

    name: ClassVar[str] = "count"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Prompt, Model})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Counted})

    def __init__(
        self,
        counters: Mapping[str, Counter],
        contexts: Mapping[str, int],
        lengths: Lengths,
        tell: Callable[[Used], None],
        observe: Observe = lambda _ratio, _model, _by: None,
    ) -> None:
        """`counters` of all models by public name; `contexts` of those whose policy says how many
        tokens they take. `tell` passes on what an engine has counted."""
        self._counters = counters
        self._contexts = contexts
        self._lengths = lengths
        self._tell = tell
        self._observe = observe

    async def decide(self, request: Request) -> Decision:
        kind, document = request.fact(Operation).kind, request.fact(Prompt).document
        if kind is Kind.COUNT_TOKENS:  # the engine counts, and neither reads nor writes
            return request.having(Counted(0, "tokenizer", is_exact=True, answers=0))
        model = request.fact(Model)
        tally = await self._counters[model.name].count(
            Asked(kind, document, size_of(request), model.pool, model.served_as)
        )
        usual = self._lengths.expect(request.fact(Identity).key_id, model.name)
        context = self._contexts.get(model.name)
        expected = expect_completion(kind, document, tally.tokens, context, usual)
        return request.having(
            Counted(
                tally.tokens,
                tally.counted_by,
                tally.is_exact,
                expected.likely_tokens,
                expected.most_tokens,
                expected.answers,
                tally.mix,
            )
        )

    async def settle(self, outcome: Outcome) -> None:
        """Let all learn from the truth, where there is one."""
        counted = Truth.read(outcome.witness)
        model = str(outcome.witness.get("model", ""))
        if outcome.running or outcome.status != 200 or counted is None or not model:
            return
        if "picked_pool" in outcome.witness:  # another model has served than it was counted for
            return
        prompt_tokens = said(outcome, "prompt_tokens")
        mix, answer_tokens = "", 0
        if prompt_tokens:
            self._observe(counted.estimate / prompt_tokens, model, counted.counted_by)
            mix = str(outcome.witness.get("prompt_mix", "")) if model in self._counters else ""
        if outcome.witness.get("operation") in GENERATING:
            answer_tokens = said(outcome, "completion_tokens") // counted.answers
        if mix or answer_tokens:
            key_id = str(outcome.witness.get("key_id", ""))
            self._tell(Used(model, key_id, prompt_tokens, mix, answer_tokens))


def size_of(request: Request) -> int:
    """Bytes of the body as it came."""
    body = request.find(Body)
    return len(body.raw) if body else request.announced_bytes


def said(outcome: Outcome, name: str) -> int:
    """What the engine has counted; 0 where it does not say."""
    return min(max(outcome.tokens(name) or 0, 0), MOST_TOKENS)
