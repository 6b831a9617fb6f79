"""The engine: which requests run, how far each one is by now, and what that did to the counters.

Nothing here waits and nothing reads a clock: every call is told the time, in seconds of one
monotonic clock. A request's progress is a function of time, so counters are brought up to date
when somebody looks (a scrape, or the end of the request), never once per token.
"""

import random
from dataclasses import dataclass, field
from math import inf

from engines.sim.answer import Words, compose, digest
from engines.sim.cache import PrefixCache
from engines.sim.faults import SLOW_FACTOR, Fault, Kind
from engines.sim.metrics import Meter
from engines.sim.request import Generation, Order
from engines.sim.tokens import Prompt, Tokenizer

EARLY_S = 0.001
"""uvloop's timers count whole milliseconds: a token may leave this long before it is due. An engine
must have counted whatever a client has seen."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One engine process. The first model is the name in answers and metrics; others are aliases.

    20 ms and 5 ms are quick enough for tests and slow enough to be seen; 131 072 tokens is the
    context of Llama 3.1; 8 192 blocks of 32 tokens are two such contexts.
    """

    models: tuple[str, ...] = ("tiny",)
    ttft_ms: float = 20
    itl_ms: float = 5
    max_model_len: int = 131_072
    block_size: int = 32
    num_blocks: int = 8_192
    fail_rate: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """One sequence that is generated: one of the `n` of one prompt."""

    index: int
    words: Words
    prompt: Prompt
    cached_tokens: int
    created_tokens: int
    last_key: int


@dataclass(slots=True, eq=False)
class Run:
    """A request that runs. The first token of every choice is due at `first_s`, +inf: never."""

    choices: tuple[Choice, ...]
    n: int
    started_s: float
    first_s: float
    itl_s: float
    prompt_counted: bool = field(default=False, init=False)
    generated_counted: int = field(default=0, init=False)

    @property
    def steps(self) -> int:
        """How many times the engine has to step: once per token of the longest choice."""
        return max(len(choice.words.pieces) for choice in self.choices)

    @property
    def last_s(self) -> float:
        """When the last token is due."""
        return self.first_s + (self.steps - 1) * self.itl_s

    @property
    def prompt_tokens(self) -> int:
        """What the client is told: every prompt once, however many choices it has."""
        return sum(choice.prompt.tokens for choice in self.choices[:: self.n])

    @property
    def completion_tokens(self) -> int:
        return sum(len(choice.words.pieces) for choice in self.choices)

    def steps_by(self, now_s: float) -> int:
        """How many steps are done."""
        by_s = now_s + EARLY_S
        if by_s < self.first_s:
            return 0
        if by_s >= self.last_s:
            return self.steps
        return 1 + int((by_s - self.first_s) / self.itl_s)

    def generated(self, steps: int) -> int:
        """The tokens of all choices after that many steps."""
        return sum(min(steps, len(choice.words.pieces)) for choice in self.choices)


class SimEngine:
    """The state of one engine process: the prefix cache, the counters, and what runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokenizer = Tokenizer(settings.block_size)
        self.meter = Meter(settings.max_model_len)
        self._cache = PrefixCache(settings.num_blocks)
        self._running: set[Run] = set()
        self._failures = random.Random(settings.seed)  # noqa: S311  # repeatable on purpose

    @property
    def running(self) -> int:
        return len(self._running)

    def fails_by_chance(self) -> bool:
        """Decide once per request whether it falls to the process's fail rate."""
        rate = self.settings.fail_rate
        return rate > 0 and self._failures.random() < rate

    def start(self, request: Generation, now_s: float) -> Run:
        """Take a request in: look its prompts up in the prefix cache and write its answer."""
        choices = tuple(
            choice
            for at, prompt in enumerate(request.prompts)
            for choice in self._choices(request, prompt, at * request.n)
        )
        ttft_s, itl_s = self.pace(request.order)
        run = Run(choices, request.n, now_s, now_s + ttft_s, itl_s)
        self._running.add(run)
        return run

    def finish(self, run: Run, now_s: float, *, completed: bool) -> None:
        """Take a request out. If it did not complete, it generated what it had time for.

        Like vLLM, an aborted request is in no request_success_total, and its blocks stay cached.
        """
        self._running.remove(run)
        steps = run.steps if completed else run.steps_by(now_s)
        self._count(run, steps)
        for choice in run.choices:
            self._keep_answer(choice, steps)
        if completed:
            self._count_success(run, now_s)

    def catch_up(self, now_s: float) -> None:
        """Bring the counters to `now_s` for everything that runs."""
        for run in self._running:
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

    def _choices(self, request: Generation, prompt: Prompt, first: int) -> list[Choice]:
        size = self.settings.block_size
        room = self.settings.max_model_len - prompt.tokens
        limit = room if request.max_tokens is None else min(request.max_tokens, room)
        lead = " " if request.operation == "completions" else ""
        seen = digest(prompt.text)
        choices: list[Choice] = []
        for index in range(request.n):
            found = self._cache.take(prompt.blocks, request.salt, most=(prompt.tokens - 1) // size)
            cached = found.cached * size
            self.meter.looked_up(prompt.tokens, cached)
            words = compose(seen, index, limit, request.wish, lead)
            created = len(prompt.blocks) * size - cached
            choices.append(Choice(first + index, words, prompt, cached, created, found.last_key))
        return choices

    def _keep_answer(self, choice: Choice, steps: int) -> None:
        """Cache the full blocks of prompt and answer, as the next turn of a chat will send them.

        The last token was sampled but never computed, so it is not in the cache: vLLM again.
        """
        computed = choice.words.pieces[:steps][:-1]
        if computed:
            text = choice.prompt.tail + "".join(computed)
            self._cache.extend(choice.last_key, self.tokenizer.cut(text).blocks)

    def _count(self, run: Run, steps: int) -> None:
        if steps == 0:
            return
        if not run.prompt_counted:
            run.prompt_counted = True
            for choice in run.choices:
                self.meter.prefilled(choice.prompt.tokens, choice.cached_tokens)
            self.meter.ttft_s.observe(run.first_s - run.started_s, len(run.choices))
        generated = run.generated(steps)
        self.meter.generation_tokens += generated - run.generated_counted
        run.generated_counted = generated

    def _count_success(self, run: Run, now_s: float) -> None:
        meter, times = self.meter, len(run.choices)
        meter.queue_s.observe(0, times)
        meter.prefill_s.observe(run.first_s - run.started_s, times)
        meter.latency_s.observe(now_s - run.started_s, times)
        meter.itl_s.observe(run.itl_s, run.completion_tokens - times)
        for choice in run.choices:
            meter.succeeded(
                choice.words.finish_reason,
                prompt_tokens=choice.prompt.tokens,
                computed_tokens=choice.prompt.tokens - choice.cached_tokens,
                generated_tokens=len(choice.words.pieces),
            )
