"""The model table: the name a client used -> what serves it, if this key may use it."""

from collections.abc import Mapping
from typing import ClassVar

from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Identity, Model, Prompt, Request


class Resolve(Filter):
    """`models` are found by public name and by alias alike."""

    name: ClassVar[str] = "resolve"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Identity, Prompt})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Model})

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models

    async def decide(self, request: Request) -> Decision:
        prompt = request.fact(Prompt)
        model = self._models.get(prompt.model)
        if model is None:
            message = f"The model {prompt.model!r} does not exist."
            return Deny(Reason.UNKNOWN_MODEL, message, "model")
        if not request.fact(Identity).may_use(model.name):
            message = f"This key may not use the model {model.name!r}."
            return Deny(Reason.MODEL_FORBIDDEN, message, "model")
        return request.having(prompt.editing(model=model.served_as)).having(model)
