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
        model = look_up(self._models, request.fact(Identity), prompt.model)
        if isinstance(model, Deny):
            return model
        return request.having(prompt.editing(model=model.served_as)).having(model)


def look_up(models: Mapping[str, Model], identity: Identity, name: str) -> Model | Deny:
    """Find what a client means by a name, if it may use it."""
    model = models.get(name)
    if model is None:
        message = f"The model {name[:256]!r} does not exist."
        return Deny(Reason.UNKNOWN_MODEL, message, "model")
    if not identity.may_use(model.name):
        return Deny(Reason.MODEL_FORBIDDEN, f"This key may not use the model {name!r}.", "model")
    return model
