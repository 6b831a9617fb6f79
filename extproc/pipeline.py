"""The filters of one policy version, in order. Here, and only here, a fault becomes a refusal."""

from collections.abc import Awaitable, Sequence
from functools import partial

import msgspec

from extproc.decision import Decision, Deny, Judged, Outcome, Pause, Reply, Wait
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
        # Most filters keep the defaults, and calling a default for each of them takes its time.
        self._rewriting = [f for f in filters if overrides(f.transform, Filter.transform)]
        self._wishing = [f for f in filters if overrides(f.wish, Filter.wish)]
        self._settling = [f for f in reversed(filters) if overrides(f.settle, Filter.settle)]
        self._resettling = [f for f in filters if overrides(f.settle_again, Filter.settle_again)]
        self._renewing = [f for f in filters if overrides(f.renew, Filter.renew)]

    async def judge_head(self, request: Request) -> Judged:
        """Run the filters that need no body."""
        return await self._run(self._filters[: self._late], request)

    async def judge_body(self, request: Request) -> Judged:
        """Run the rest. `request` has its `Body`."""
        return await self._run(self._filters[self._late :], request)

    async def _run(self, filters: Sequence[Filter], request: Request) -> Judged:
        for index, each in enumerate(filters):
            try:
                decision = await each.decide(request)
            except Exception as exc:
                decision = self._mend(each, request, exc)
            if isinstance(decision, Request):
                request = decision
            elif isinstance(decision, Wait):
                go_on = partial(self._go_on, decision, filters[index:], request)
                return Judged(request, Pause(decision.most_s, go_on))
            else:
                return await self._stop(each, request, decision)
        return Judged(request, None)

    async def _stop(self, each: Filter, request: Request, decision: Decision) -> Judged:
        """End here. A reply is rewritten as an engine's answer would be, by the filters before it."""
        assert not isinstance(decision, Request | Wait)
        if isinstance(decision, Reply):
            before = self._filters[: self._filters.index(each)]
            outer = [one for one in self._rewriting if one in before]
            try:
                found = [one for each in outer if (one := each.transform(request))]
                body = await pass_whole(decision.body, found) if found else b""
            except Exception as exc:
                self._meter.filter_fault(each.name)
                log.error(Event.FILTER_FAULT, exc, filter=each.name, request_id=request.request_id)
                return Judged(request, Deny(Reason.FAULT, "The gateway could not answer."))
            if found:
                decision = msgspec.structs.replace(decision, body=body)
        return Judged(request, decision)

    async def _go_on(self, wait: Wait, filters: Sequence[Filter], request: Request) -> Judged:
        """Wait, and go on behind the filter that asked for it. It may ask again."""
        try:
            decision = await wait.decide()
        except Exception as exc:
            decision = self._mend(filters[0], request, exc)
        if isinstance(decision, Request):
            return await self._run(filters[1:], decision)
        if isinstance(decision, Wait):
            return Judged(
                request, Pause(decision.most_s, partial(self._go_on, decision, filters, request))
            )
        return await self._stop(filters[0], request, decision)

    def _mend(self, each: Filter, request: Request, fault: Exception) -> Request | Deny:
        self._meter.filter_fault(each.name)
        log.error(Event.FILTER_FAULT, fault, filter=each.name, request_id=request.request_id)
        if each.on_fault == "continue":
            return request
        return Deny(Reason.FAULT, "The gateway could not decide.")

    def wish(self, request: Request) -> AnswerMode:
        """Say how much of the answer the filters may need: the most that any of them does."""
        if not self._wishing:
            return AnswerMode.NONE
        return max((each.wish(request) for each in self._wishing), key=lambda mode: mode.value)

    def transforms(self, request: Request) -> list[BodyTransform]:
        """Collect how this request's answer is to be rewritten, in pipeline order."""
        if not self._rewriting:
            return []
        found = (each.transform(request) for each in self._rewriting)
        return [transform for transform in found if transform is not None]

    async def settle(self, outcome: Outcome) -> None:
        """Settle every filter, last first; a fault in one spares the others."""
        for each in self._settling:
            await self._spare(each, each.settle(outcome), outcome)

    async def settle_again(self, outcome: Outcome) -> None:
        """Tell every filter that may hear of an end twice."""
        for each in self._resettling:
            await self._spare(each, each.settle_again(outcome), outcome)

    async def renew(self, outcome: Outcome) -> None:
        """Tell every filter that wants to know that a request still runs."""
        for each in self._renewing:
            await self._spare(each, each.renew(outcome), outcome)

    async def _spare(self, each: Filter, telling: Awaitable[None], outcome: Outcome) -> None:
        try:
            await telling
        except Exception as exc:
            self._meter.filter_fault(each.name)
            key = outcome.witness.get("settle_key", "")
            log.error(Event.SETTLE_FAULT, exc, filter=each.name, settle_key=key)


async def pass_whole(body: bytes, transforms: Sequence[BodyTransform]) -> bytes:
    """Let transforms rewrite an answer that is there in one piece."""
    for transform in transforms:
        data = transform.feed(body)
        while transform.waits:
            await transform.wait()
            data += transform.feed(b"")
        data += transform.finish()
        while transform.waits:
            await transform.wait()
            data += transform.finish()
        body = data
    return body


def overrides(method: object, default: object) -> bool:
    return getattr(method, "__func__", None) is not default


def check_order(filters: Sequence[Filter]) -> None:
    """See that every filter finds the facts it needs. Raises: PolicyError."""
    known: set[type[Fact]] = {Body}
    for each in filters:
        if missing := sorted(kind.__name__ for kind in each.needs - known):
            message = f"filter {each.name!r} stands before what it needs: {', '.join(missing)}"
            raise PolicyError(message)
        if each.on_fault == "deny":
            known |= each.provides
