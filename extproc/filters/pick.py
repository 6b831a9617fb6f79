"""Which endpoint: the pool's picker says it, this asks and tells everybody.

What it has chosen is counted by all workers of the host until the request has ended. Nobody else
knows of it: a picker is pure, and the view knows no requests.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from time import monotonic
from typing import ClassVar

from msgspec import structs

from engines.watch.messages import Ended, Picked
from extproc.counting.counted import Counted
from extproc.decision import Decision, Deny, Outcome
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.filters.explain import Explained, Recorder
from extproc.filters.fallback import may_repeat
from extproc.filters.prefix import Prefix
from extproc.policy.picking import PickerPolicy
from extproc.ports import EngineView
from extproc.request import Fact, Identity, Model, Request, Route, Scalar, Subset
from extproc.routing.candidate import Asked, Candidate, Choice, Picker
from extproc.routing.pickers import make_picker
from extproc.routing.subset import narrow

RETRY_AFTER_S = 2
"""An engine that fails is looked at at least that often."""
PREFILLING = ":prefill"
"""Behind a settle key: the part of a request that another endpoint computes."""
UNKNOWN = Prefix()


class Pick(Filter):
    """Names endpoints to Envoy, and lets all workers know."""

    name: ClassVar[str] = "pick"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Model})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Route})

    def __init__(
        self,
        pools: Mapping[str, PickerPolicy],
        view: EngineView,
        adapters: Collection[str] = (),
        recorder: Recorder | None = None,
        count: Callable[[str, str], object] = lambda _pool, _rung: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`adapters`: models that are LoRA adapters. `recorder` writes down why, where it is asked.
        `count` hears of each choice: in which pool, and what it could be based on."""
        self._pools = pools
        self._view = view
        self._adapters = frozenset(adapters)
        self._recorder = recorder
        self._count = count
        self._clock = clock
        self._pickers: dict[str, Picker] = {}

    async def decide(self, request: Request) -> Decision:
        if request.find(Route):  # a service elsewhere, where there is nothing to pick
            return request
        model = request.fact(Model)
        pool = model.pool
        candidates = self._view.candidates(pool, model.name)
        if (subset := request.find(Subset)) is not None:
            candidates = narrow(candidates, subset.endpoints, self._view.knows)
        if not candidates:
            message = "No engine can take this request at the moment."
            return Deny(Reason.NO_ENDPOINT, message, retry_after_s=RETRY_AFTER_S)
        asked, now_s = self._ask(request), self._clock()
        choice = self._choose(request, asked, candidates, now_s)
        self._tell(pool, asked, choice, now_s)
        self._count(pool, choice.rung)
        may_resend = may_repeat(request, elsewhere=False)
        return request.having(Route(choice.endpoints, choice.prefiller, choice.rung, may_resend))

    def _ask(self, request: Request) -> Asked:
        """Collect what pickers may know."""
        model = request.fact(Model)
        prefix, counted = request.find(Prefix) or UNKNOWN, request.find(Counted)
        tokens = counted.prompt_tokens if counted and not prefix.is_exact else prefix.prompt_tokens
        return Asked(
            key=request.settle_key,
            prompt_tokens=tokens,
            blocks=prefix.blocks,
            block_tokens=prefix.block_tokens,
            completion_tokens=counted.likely_tokens if counted else 0,
            adapter=model.served_as if model.name in self._adapters else "",
            session=find_session(request, self._pools[model.pool].session),
        )

    def _choose(
        self, request: Request, asked: Asked, candidates: Sequence[Candidate], now_s: float
    ) -> Choice:
        picker = self._picker(request.fact(Model).pool)
        if self._recorder is not None and request.find(Explained):
            return self._recorder.choose(request, picker, asked, candidates, self._view, now_s)
        return picker.choose(asked, candidates, now_s)

    def _picker(self, pool: str) -> Picker:
        """Make it when it is first needed: only then does the view know the pool."""
        picker = self._pickers.get(pool)
        if picker is None:
            policy, prefixes = self._pools[pool], self._view.prefixes(pool)
            prefixes.bound(*policy.bounds())
            picker = self._pickers[pool] = make_picker(policy.settings(), prefixes)
        return picker

    def _tell(self, pool: str, asked: Asked, choice: Choice, now_s: float) -> None:
        blocks = tuple(asked.blocks)
        first, cached = choice.endpoints[0], choice.cached_tokens
        if choice.prefiller:
            key, tokens = asked.key + PREFILLING, asked.prompt_tokens
            self._view.picked(
                Picked(key, pool, choice.prefiller, now_s, tokens, cached, blocks),
            )
            cached = tokens  # it gets them from there
        self._view.picked(
            Picked(asked.key, pool, first, now_s, asked.prompt_tokens, cached, blocks)
        )

    async def renew(self, outcome: Outcome) -> None:
        if key := outcome.witness.get("settle_key"):
            self._view.running(str(key))
            if outcome.witness.get("prefiller"):
                self._view.running(f"{key}{PREFILLING}")

    async def settle(self, outcome: Outcome) -> None:
        """Count on it no longer, and learn from attempts that got no answer before the next look
        does. What was refused was never picked."""
        known = outcome.witness
        key, pool = known.get("settle_key"), known.get("picked_pool") or known.get("pool")
        if not key or not pool or "deny" in known:
            return
        self._end(str(key), str(pool), outcome.served, outcome)
        if prefiller := known.get("prefiller"):
            self._end(f"{key}{PREFILLING}", str(pool), str(prefiller), outcome)

    async def settle_again(self, outcome: Outcome) -> None:
        """Count on it no longer. How it ended is left out: breakers may have heard of that."""
        await self.settle(structs.replace(outcome, status=0, attempts=0, failed=()))

    def _end(self, key: str, pool: str, endpoint: str, outcome: Outcome) -> None:
        self._view.ended(
            Ended(
                key=key,
                pool=pool,
                endpoint=endpoint,
                at_s=self._clock(),
                status=outcome.status,
                latency_s=outcome.latency_s,
                failed=tuple(outcome.failed) if not key.endswith(PREFILLING) else (),
                model=text(outcome.witness.get("picked_model") or outcome.witness.get("model")),
                attempts=outcome.attempts,
                is_stream=bool(outcome.witness.get("stream")),
            )
        )


def find_session(request: Request, session: str | None) -> str:
    """Name who wants to come back: by a header, or the user. Another tenant's is another one."""
    if session is None:
        return ""
    who = request.find(Identity)
    if session == "user":
        named = (who.user or who.key_id) if who else ""
    else:
        named = request.headers.get(session, "")
    return f"{who.tenant if who else ''}\0{named}" if named else ""


def text(given: Scalar | None) -> str:
    return given if isinstance(given, str) else ""
