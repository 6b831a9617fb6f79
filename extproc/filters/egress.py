"""What leaves for services elsewhere: personal data that nobody masked, members that say who asks, and
tenants whose data has to stay, do not.

It stands behind masking, so what it looks at is what would leave, and it is one of the checks of every
model that may stand in later, for then nobody is asked again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import msgspec

from audit.record import AuditLog
from extproc.decision import Decision, Deny
from extproc.dialects.place import write_place
from extproc.dialects.texts import TangledError, find_unreadable
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.audited import make_record
from extproc.filters.fallback import Others, hears_alike, may_move, may_repeat, switch
from extproc.filters.pii import is_much, search_texts
from extproc.filters.texts import read_texts
from extproc.policy.catalog import ParameterRule
from extproc.ports import EngineView
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request
from extproc.safety.egress import Gate
from extproc.safety.expressions import FloodError
from extproc.safety.pii.engine import shipped
from extproc.safety.pii.own import Own


@dataclass(frozen=True, slots=True)
class Onward:
    """Which other model may serve what one must not see. `checks` must let the request pass as it is
    for the other model, and `rules` must say the same to the system."""

    others: Others
    view: EngineView
    checks: Sequence[Filter]
    rules: Mapping[str, Sequence[ParameterRule]]

    async def find(self, request: Request) -> Request | None:
        if not may_move(request):
            return None
        for model in self.others.of(request):
            elsewhere = model.pool in self.others.elsewhere
            if (
                may_repeat(request, elsewhere=elsewhere)
                and self.others.is_up(model, self.view)
                and hears_alike(self.rules, request, model)
                and (found := await self._pass(switch(request, model, "egress")))
            ):
                return found
        return None

    async def _pass(self, draft: Request) -> Request | None:
        for each in self.checks:
            decision = await each.decide(draft)
            if not isinstance(decision, Request):
                return None
            draft = decision
        return draft


class Egress(Filter):
    name: ClassVar[str] = "egress"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(
        self,
        gates: Mapping[str, Gate],
        own: Own | None = None,
        onward: Onward | None = None,
        audit: AuditLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`gates` by pool: one for each that a service elsewhere serves. Without `onward` nothing else
        may serve."""
        self._gates = gates
        self._own = own
        self._onward = onward
        self._audit = audit
        self._clock = clock

    async def decide(self, request: Request) -> Decision:
        gate = self._gates.get(request.fact(Model).pool)
        if gate is None:
            return request
        decision = await self._judge(request, gate)
        if isinstance(decision, Request):
            return decision
        if gate.goes_on and self._onward and (other := await self._onward.find(request)):
            return other
        self._tell(request, decision)
        return decision

    async def _judge(self, request: Request, gate: Gate) -> Request | Deny:
        who, model = request.fact(Identity), request.fact(Model).name
        if why := gate.refuse_whom(who.tenant, who.region):
            return Deny(Reason.EGRESS, f"The model {model!r} is served elsewhere: {why}.")
        prompt = request.fact(Prompt)
        if name := gate.forbidden(prompt.document):
            message = f"The model {model!r} is served elsewhere: '{name}' must not leave."
            return Deny(Reason.EGRESS, message, name)
        if surplus := gate.surplus(prompt.document):
            kept = {n: value for n, value in prompt.document.items() if n not in surplus}
            prompt = msgspec.structs.replace(prompt, document=kept)
            request = request.having(prompt)
        return (await self._look(request, gate) if gate.looks else None) or request

    async def _look(self, request: Request, gate: Gate) -> Deny | None:
        kind, document = request.fact(Operation).kind, request.fact(Prompt).document
        model = request.fact(Model).name
        if name := find_unreadable(kind, document):
            message = f"The model {model!r} is served elsewhere: '{name}' cannot be looked through."
            return Deny(Reason.EGRESS, message, name)
        try:
            _, texts = await read_texts(request)
            places = await search_texts(shipped(), self._own, texts)
            work = partial(gate.unmasked, texts, places)
            found = await asyncio.to_thread(work) if is_much(texts, places) else work()
        except (TangledError, FloodError) as exc:
            return Deny(Reason.INVALID_REQUEST, f"The request cannot be looked through: {exc}.")
        if found is None:
            return None
        where = write_place(found[0].place)
        message = (
            f"The model {model!r} is served elsewhere: '{where}' holds personal data "
            f"that must not leave: {found[1]}."
        )
        return Deny(Reason.EGRESS, message, where)

    def _tell(self, request: Request, denied: Deny) -> None:
        if self._audit is None:
            return
        who, model = request.fact(Identity), request.fact(Model)
        self._audit.write(
            make_record(
                request,
                self._clock(),
                "egress.denied",
                "denied",
                {"pool": model.pool, "field": denied.param or "", "region": who.region},
            )
        )
