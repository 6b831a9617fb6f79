"""Does it fit the model's context: prompt and answer together, as far as can be told by now."""

from collections.abc import Mapping
from typing import ClassVar

from extproc.decision import Decision, Deny
from extproc.dialects.lengths import ANSWERS, count_least, find_length
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Kind, Model, Operation, Prompt, Request


class Context(Filter):
    """`most` tokens of each model by public name. One that is not there is the engine's to judge.

    Refused is what cannot fit whatever the tokenizer says.
    """

    name: ClassVar[str] = "context"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Prompt, Model})

    def __init__(self, most: Mapping[str, int]) -> None:
        self._most = most

    async def decide(self, request: Request) -> Decision:
        kind, document = request.fact(Operation).kind, request.fact(Prompt).document
        most = self._most.get(request.fact(Model).name)
        if most is None or kind is Kind.COUNT_TOKENS:
            return request
        member, least = count_least(kind, document)
        length = find_length(kind, document)
        wanted = length[1] if length else int(kind in ANSWERS)
        if least + wanted <= most:
            return request
        message = (
            f"This model's maximum context length is {most} tokens, but this request needs at "
            f"least {least + wanted}: {least} for the prompt and {wanted} for the answer."
        )
        param = length[0] if length and length[1] > least else member
        return Deny(Reason.CONTEXT, message, param)
