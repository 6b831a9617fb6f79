"""The engine: which requests run, how far each one is by now, and what that did to the counters.

Nothing here waits and nothing reads a clock: every call is told the time, in seconds of one
monotonic clock. Without physics a request's progress is a function of time alone, so counters are
brought up to date when somebody looks (a scrape, or the end of the request), never once per token.
With physics (a profile) a driver runs the batch, and requests that set their own pace stay apart.
"""

import random
from itertools import count
from math import inf

from engines.blocks import root
from engines.load import Adapters
from engines.sim.answer import compose, digest
from engines.sim.cache import PrefixCache, chained
from engines.sim.core import Core
from engines.sim.driver import Driver, Ticket
from engines.sim.faults import SLOW_FACTOR, Fault, Kind
from engines.sim.meter import Meter
from engines.sim.metrics import Load
from engines.sim.pace import FixedPace, Pace, Stall
from engines.sim.refusal import RefusedError
from engines.sim.request import Generation, Order
from engines.sim.run import EARLY_S, Choice, Run, Settings
from engines.sim.sequence import Job
from engines.sim.stored import Stored
from engines.sim.tokens import Prompt, Tokenizer

__all__ = ["EARLY_S", "Choice", "Run", "Settings", "SimEngine"]


class SimEngine:
    """The state of one engine process: the prefix cache, the counters, and what runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokenizer = Tokenizer(settings.block_size)
        self.stall = Stall()
        self.stored = (
            Stored(settings.block_size, 4 * settings.num_blocks) if settings.kv_events else None
        )
        self.adapters = dict.fromkeys(settings.adapters, "")
        """LoRA adapters that requests may name, and where they were loaded from."""
        self._cache = PrefixCache(settings.num_blocks)
        self.driver = self._drive(settings)
        self.meter = self.driver.core.meter if self.driver else Meter(settings.max_model_len)
        self._running: set[Run] = set()
        self._numbers = count()
        self._failures = random.Random(settings.seed)  # noqa: S311  # repeatable on purpose
        if settings.kv_events:
            self._cache.watch()

    @property
    def running(self) -> int:
        return len(self._running)

    def load(self, now_s: float) -> Load:
        """What a scrape sees; brings the counters to `now_s`."""
        self.catch_up(now_s)
        adapters: Adapters | None = None
        if self.adapters:
            running = {run.adapter for run in self._running} - {""}
            adapters = Adapters(len(self.adapters), tuple(sorted(running)))
        if self.driver is None:
            return Load(len(self._running), 0, self.kv_cache_usage(now_s), adapters=adapters)
        core = self.driver.core
        seen = core.load(now_s)
        apart = sum(run.ticket is None for run in self._running)
        return Load(
            seen.running + apart,
            seen.waiting,
            seen.kv_usage,
            core.deferred,
            adapters and self._slots(seen.adapters),
        )

    def fails_by_chance(self, rate: float | None = None) -> bool:
        """Decide once per request whether it falls to a share of failures; the process's own."""
        rate = self.settings.fail_rate if rate is None else rate
        return rate > 0 and self._failures.random() < rate

    def start(self, request: Generation, now_s: float) -> Run:
        """Take a request in: look its prompts up in the prefix cache and write its answer."""
        ttft_s, itl_s = self.pace(request.order)
        driver = None if _is_apart(request.order) else self.driver
        choices = tuple(
            choice
            for at, prompt in enumerate(request.prompts)
            for choice in self._choices(request, prompt, at * request.n, looks=driver is None)
        )
        self.meter.request_n.observe(request.n)
        limit = request.max_tokens or self.settings.max_model_len
        self.meter.request_max_tokens.observe(limit, len(choices))
        run = Run(choices, request.n, now_s, now_s + ttft_s, itl_s)
        run.adapter, run.tells_ids = request.adapter, request.tells_ids
        if driver is not None:
            run.ticket = self._board(driver, request, choices)
        self._running.add(run)
        return run

    def pace_of(self, run: Run) -> Pace:
        return run.ticket or FixedPace(run.first_s, run.itl_s, self.stall)

    def finish(self, run: Run, now_s: float, *, completed: bool) -> None:
        """Take a request out. If it did not complete, it generated what it had time for.

        Like vLLM, an aborted request is in no request_success_total, and its blocks stay cached.
        """
        self._running.remove(run)
        if run.ticket is not None:
            if self.driver is not None:
                self.driver.stop(run.ticket)
            return
        steps = run.steps if completed else run.steps_by(now_s)
        self._count(run, steps)
        for choice in run.choices:
            self._keep_answer(choice, steps)
        if completed:
            self._count_success(run, now_s)

    def _slots(self, seen: Adapters) -> Adapters:
        """The core counts slots only once it has seen an adapter."""
        profile = self.settings.profile
        return seen if seen.most or profile is None else Adapters(profile.lora_slots)

    def changes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the caches gained and lost since the last call."""
        stored, removed = self._cache.changes()
        if self.driver is None:
            return stored, removed
        seen = self.driver.core.kv_changes()
        return (*stored, *seen.stored), (*removed, *seen.removed)

    def catch_up(self, now_s: float) -> None:
        """Bring the counters to `now_s` for everything that runs."""
        for run in self._running:
            if run.ticket is None:
                self._count(run, run.steps_by(now_s))

    def pace(self, order: Order) -> tuple[float, float]:
        """Time to first token and between tokens, in seconds."""
        ttft_s = (self.settings.ttft_ms if order.ttft_ms is None else order.ttft_ms) / 1000
        itl_s = (self.settings.itl_ms if order.itl_ms is None else order.itl_ms) / 1000
        match order.fault:
            case Fault(kind=Kind.SLOW):
                return ttft_s * SLOW_FACTOR, itl_s * SLOW_FACTOR
            case Fault(kind=Kind.HANG):
                return inf, itl_s
            case _:
                return ttft_s, itl_s

    def embed(self, prompts: tuple[Prompt, ...]) -> None:
        """Count a request for vectors. Pooling models have no prefix cache by default."""
        for prompt in prompts:
            self.meter.prefilled(prompt.tokens, 0)
            self.meter.success["stop"] += 1

    def kv_cache_usage(self, now_s: float) -> float:
        """The share of blocks that running requests hold. Blocks they share count for each."""
        size = self.settings.block_size
        held = 0
        for run in self._running:
            steps = run.steps_by(now_s)
            for choice in run.choices:
                tokens = choice.prompt.tokens + min(steps, len(choice.words.pieces))
                held += -(-tokens // size)  # rounded up
        return min(1.0, held / self.settings.num_blocks)

    def _choices(
        self, request: Generation, prompt: Prompt, first: int, *, looks: bool
    ) -> list[Choice]:
        size = self.settings.block_size
        room = self.settings.max_model_len - prompt.tokens
        limit = room if request.max_tokens is None else min(request.max_tokens, room)
        lead = " " if request.operation == "completions" else ""
        seen = digest(prompt.text)
        choices: list[Choice] = []
        for index in range(request.n):
            words = compose(seen, index, limit, request.wish, lead)
            choice = Choice(first + index, words, prompt, 0, len(prompt.blocks) * size, 0)
            if looks:
                self._look_up(request, choice)
            choices.append(choice)
        return choices

    def _look_up(self, request: Generation, choice: Choice) -> None:
        prompt, size = choice.prompt, self.settings.block_size
        salt = _salt(request)
        self._note(root(salt), prompt.blocks, salt, request.adapter)
        found = self._cache.take(prompt.blocks, salt, most=(prompt.tokens - 1) // size)
        choice.cached_tokens = found.cached * size
        choice.created_tokens -= choice.cached_tokens
        choice.last_key = found.last_key
        self.meter.looked_up(prompt.tokens, choice.cached_tokens)

    def _drive(self, settings: Settings) -> Driver | None:
        if settings.profile is None:
            return None
        return Driver(
            Core(
                settings.profile,
                kv_events=settings.kv_events,
                max_model_len=settings.max_model_len,
            )
        )

    def _board(self, driver: Driver, request: Generation, choices: tuple[Choice, ...]) -> Ticket:
        """Queue a request's choices. Raises RefusedError if one can never be served."""
        salt = _salt(request)
        jobs: list[Job] = []
        for choice in choices:
            prompt, words = choice.prompt, choice.words
            answer = self.tokenizer.cut(prompt.tail + "".join(words.pieces)).blocks
            first = root(salt)
            blocks = chained(first, (*prompt.blocks, *answer))
            self._note(first, (*prompt.blocks, *answer), salt, request.adapter)
            jobs.append(
                Job(
                    key=next(self._numbers),
                    blocks=tuple(blocks),
                    prompt_tokens=prompt.tokens,
                    output_tokens=len(words.pieces),
                    adapter=request.adapter,
                    received_tokens=prompt.tokens if request.is_received else 0,
                    reason=words.finish_reason,
                )
            )

        def on_first(at: int, cached_tokens: int) -> None:
            choices[at].cached_tokens = cached_tokens
            choices[at].created_tokens -= cached_tokens

        try:
            return driver.start(jobs, on_first)
        except ValueError as wrong:
            raise RefusedError.invalid(str(wrong)) from None

    def _note(self, first: int, blocks: tuple[str, ...], salt: str, adapter: str) -> None:
        if self.stored is not None:
            self.stored.note(first, blocks, salt, adapter)

    def _keep_answer(self, choice: Choice, steps: int) -> None:
        """Cache the full blocks of prompt and answer, as the next turn of a chat will send them.

        The last token was sampled but never computed, so it is not in the cache: vLLM again.
        """
        computed = choice.words.pieces[:steps][:-1]
        if computed:
            text = choice.prompt.tail + "".join(computed)
            blocks = self.tokenizer.cut(text).blocks
            self._note(choice.last_key, blocks, "", "")
            self._cache.extend(choice.last_key, blocks)

    def _count(self, run: Run, steps: int) -> None:
        if steps == 0:
            return
        meter = self.meter
        if not run.prompt_counted:
            run.prompt_counted = True
            for choice in run.choices:
                meter.prefilled(choice.prompt.tokens, choice.cached_tokens)
                meter.iteration_tokens.observe(choice.prompt.tokens - choice.cached_tokens)
            meter.ttft_s.observe(run.first_s - run.started_s, len(run.choices))
        generated = run.generated(steps)
        new = generated - run.generated_counted
        meter.generation_tokens += new
        meter.iteration_tokens.observe(1, new)
        run.generated_counted = generated

    def _count_success(self, run: Run, now_s: float) -> None:
        meter, times = self.meter, len(run.choices)
        meter.itl_s.observe(run.itl_s, run.completion_tokens - times)
        for choice in run.choices:
            tokens = len(choice.words.pieces)
            meter.succeeded(
                choice.words.finish_reason,
                prompt_tokens=choice.prompt.tokens,
                computed_tokens=choice.prompt.tokens - choice.cached_tokens,
                generated_tokens=tokens,
            )
            meter.timed((run.started_s, run.started_s, run.first_s, now_s), tokens)
            meter.request_preemptions.observe(0)


def _is_apart(order: Order) -> bool:
    """Whether a request has a pace of its own: the batch goes on without it."""
    own = order.ttft_ms is not None or order.itl_ms is not None
    return own or (order.fault is not None and order.fault.kind in (Kind.SLOW, Kind.HANG))


def _salt(request: Generation) -> str:
    """Where a prompt's blocks begin: what one adapter has computed is of no use to another."""
    salt = request.salt or ""
    return f"{request.adapter}\0{salt}" if request.adapter else salt
