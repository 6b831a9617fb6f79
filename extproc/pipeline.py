"""The filters of one policy version, in order. Here, and only here, a fault becomes a refusal."""

from collections.abc import Sequence

from extproc.decision import Decision, Deny, Judged, Outcome
from extproc.errors import PolicyError, Reason
from extproc.filter import AnswerMode, BodyTransform, Filter
from extproc.ports import Meter
from extproc.request import Body, Fact, Request
from telemetry.logs import Event, EventLog

log = EventLog(__name__)


class Pipeline:
    """Built when a policy loads and never changed: a stream keeps the one it began with."""

    def __init__(self, filters: Sequence[Filter], version: str, meter: Meter) -> None:
        """Check the order.

        Raises:
            PolicyError: A filter stands before one that provides what it needs.
        """
        check_order(filters)
        self.version = version
        self._filters = tuple(filters)
        late = [i for i, f in enumerate(filters) if Body in f.needs]
        self._late = late[0] if late else len(self._filters)
        self._meter = meter
        modes = (each.answer for each in filters)
        self.answer = max(modes, key=lambda mode: mode.value, default=AnswerMode.NONE)

    async def judge_head(self, request: Request) -> Judged:
        """Run the filters that need no body."""
        return await self._run(self._filters[: self._late], request)

    async def judge_body(self, request: Request) -> Judged:
        """Run the rest. `request` has its `Body`."""
        return await self._run(self._filters[self._late :], request)

    async def _run(self, filters: Sequence[Filter], request: Request) -> Judged:
        for each in filters:
            decision = await self._decide(each, request)
            if not isinstance(decision, Request):
                return Judged(request, decision)
            request = decision
        return Judged(request, None)

    async def _decide(self, each: Filter, request: Request) -> Decision:
        try:
            return await each.decide(request)
        except Exception as exc:
            self._meter.filter_fault(each.name)
            log.error(Event.FILTER_FAULT, exc, filter=each.name, request_id=request.request_id)
            if each.on_fault == "continue":
                return request
            return Deny(Reason.FAULT, "The gateway could not decide.")

    def transforms(self, request: Request) -> list[BodyTransform]:
        """Collect how this request's answer is to be rewritten, in pipeline order."""
        found = (each.transform(request) for each in self._filters)
        return [transform for transform in found if transform is not None]

    async def settle(self, outcome: Outcome) -> None:
        """Settle every filter, last first; a fault in one spares the others."""
        for each in reversed(self._filters):
            try:
                await each.settle(outcome)
            except Exception as exc:
                self._meter.filter_fault(each.name)
                key = outcome.witness.get("settle_key", "")
                log.error(Event.SETTLE_FAULT, exc, filter=each.name, settle_key=key)


def check_order(filters: Sequence[Filter]) -> None:
    """See that every filter finds the facts it needs. Raises: PolicyError."""
    known: set[type[Fact]] = {Body}
    for each in filters:
        if missing := sorted(kind.__name__ for kind in each.needs - known):
            message = f"filter {each.name!r} stands before what it needs: {', '.join(missing)}"
            raise PolicyError(message)
        if each.on_fault == "deny":
            known |= each.provides
