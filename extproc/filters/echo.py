"""What answers of `/v1/responses` repeat of the operator's own words, and are not to tell."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

import msgspec

from extproc.decision import Decision
from extproc.filter import AnswerMode, BodyTransform, Filter
from extproc.filters.canary import Marked
from extproc.policy.firewall import FirewallPolicy
from extproc.policy.models import Policy
from extproc.request import Body, Fact, Identity, Kind, Model, Operation, Request
from extproc.safety.injection.echo import Unechoed
from extproc.safety.scope import tenant_rules


class Sent(msgspec.Struct, frozen=True):
    """What a client has sent."""

    instructions: str | None = None


class Echo(Filter):
    """Before all that looks through answers: what it leaves in them is the client's."""

    name: ClassVar[str] = "echo"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model})

    def __init__(self, models: AbstractSet[str], entries: Sequence[FirewallPolicy]) -> None:
        """`models` have a system prompt of the operator's; `entries` may put a mark into anybody's."""
        self._models = models
        self._entries = [each for each in entries if each.canary]

    def wish(self, request: Request) -> AnswerMode:
        if request.fact(Operation).kind is not Kind.RESPONSES:
            return AnswerMode.NONE
        is_for = self._models or tenant_rules(self._entries, request)
        return AnswerMode.STREAMED if is_for else AnswerMode.NONE

    async def decide(self, request: Request) -> Decision:
        return request

    def transform(self, request: Request) -> BodyTransform | None:
        if request.fact(Operation).kind is not Kind.RESPONSES:
            return None
        if request.fact(Model).name not in self._models and request.find(Marked) is None:
            return None
        sent = msgspec.json.decode(request.fact(Body).raw, type=Sent)
        return Unechoed(sent.instructions or "")


def hide(policy: Policy) -> Sequence[Filter]:
    """Look at answers, as far as the policy says something to the system."""
    models = {
        model.name
        for model in policy.models
        if any(rule.system_prompt for rule in model.parameters)
    }
    is_marked = any(each.canary for each in policy.firewall)
    return (Echo(models, policy.firewall),) if models or is_marked else ()
