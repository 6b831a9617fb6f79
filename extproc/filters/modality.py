"""Can the model take what the prompt is made of: images, audio and video are not for all."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from extproc.decision import Decision, Deny
from extproc.dialects.modality import find_foreign
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.request import Fact, Model, Operation, Prompt, Request


class Modality(Filter):
    """`taken` by each model, by public name. One without any is the engine's to judge."""

    name: ClassVar[str] = "modality"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Prompt, Model})

    def __init__(self, taken: Mapping[str, Sequence[str]]) -> None:
        self._taken = taken

    async def decide(self, request: Request) -> Decision:
        model = request.fact(Model).name
        taken = self._taken.get(model)
        if not taken:
            return request
        document = request.fact(Prompt).document
        foreign = find_foreign(request.fact(Operation).kind, document, frozenset(taken))
        if foreign is None:
            return request
        message = f"The model {model!r} takes {', '.join(taken)}, not {foreign.modality}."
        return Deny(Reason.MODALITY, message, foreign.path)
