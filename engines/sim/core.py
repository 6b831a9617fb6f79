"""An engine in virtual time: told the time, never asking for it. No clock, no I/O.

    core = Core(PROFILES["8b-h100"])
    core.add(Job(key=1, blocks=hashes, prompt_tokens=900, output_tokens=100), now_s=0.0)
    while (wake_s := core.next_s()) < inf:
        for event in core.run_to(wake_s): ...

Times must not go back. As long as the batch stays the same, its steps are one formula, so a second
of decoding costs what a microsecond costs; events are the same however time is cut into pieces.
"""

from collections.abc import Sequence as Many
from math import inf

from engines.load import Load
from engines.sim.account import count_done, count_first, count_steps, look
from engines.sim.events import Changes, Done, Event, First, Preempted
from engines.sim.meter import Meter
from engines.sim.profile import Profile
from engines.sim.scheduler import Batch, Scheduler
from engines.sim.sequence import Job, Key, Sequence
from engines.sim.span import Span

__all__ = ["Changes", "Core", "Done", "Event", "First", "Job", "Key", "Preempted", "Profile"]

MAX_MODEL_LEN = 131_072
"""Where the buckets of token counts end: the context of Llama 3.1."""


class Core:
    """One engine. `started_s` is when its process began: it is ready `profile.startup_s` later."""

    def __init__(
        self,
        profile: Profile,
        started_s: float = -inf,
        *,
        kv_events: bool = False,
        max_model_len: int = MAX_MODEL_LEN,
    ) -> None:
        self.profile = profile
        self._max_model_len = max_model_len
        self._kv_events = kv_events
        self._events: list[Event] = []
        self._begin(started_s)

    @property
    def ready_s(self) -> float:
        """From when on it takes jobs."""
        return self._started_s + self.profile.startup_s

    def add(self, job: Job, now_s: float) -> None:
        """Take a job in. Raises ValueError for one that this engine can never do."""
        self._check(job, now_s)
        self._run(now_s)
        sequence = Sequence(job, self._number, now_s)
        self._number += 1
        is_open = self._scheduler.is_open
        self._jobs[job.key] = sequence
        self._scheduler.waiting.append(sequence)
        self._replan(now_s, needed=is_open)

    def abort(self, key: Key, now_s: float) -> None:
        """End a job early; one that runs ends with the step. Of unknown keys nothing happens."""
        self._run(now_s)
        sequence = self._jobs.get(key)
        if sequence is None or sequence.is_aborted:
            return
        sequence.is_aborted = True
        if key in self._scheduler.running:
            self._aborted.append(sequence)
        else:
            self._drop(sequence, now_s)
        self._replan(now_s)

    def stall(self, until_s: float, now_s: float) -> None:
        """Let the next step end no sooner than `until_s`; the one that runs ends as usual."""
        self._run(now_s)
        self._stalled_s = until_s
        self._replan(now_s)

    def crash(self, now_s: float) -> None:
        """Lose everything, counters included, and start anew."""
        self._run(now_s)
        for key, sequence in self._jobs.items():
            tokens = sequence.tokens_at(self._scheduler.step)
            self._events.append(Done(key, now_s, tokens, "lost"))
        self._begin(now_s)

    def next_s(self) -> float:
        """When something happens next if nobody comes: a first token, an end, a preemption."""
        return inf if self._span is None else self._span.last_s

    def next_step_s(self) -> float:
        """When the running step ends, and all that decode have a token more; inf when idle."""
        span = self._span
        return inf if span is None else span.end_s(self._scheduler.step - span.first + 1)

    @property
    def deferred(self) -> int:
        """Of those that wait: how many do not wait for room."""
        return self._scheduler.deferred

    def run_to(self, now_s: float) -> Many[Event]:
        """Do everything that happens up to now, this moment included. Returns what is new."""
        self._run(now_s)
        events, self._events = self._events, []
        return events

    def tokens(self, key: Key) -> int:
        """How many tokens a job has by the time that was last told; 0 for one that is not here."""
        sequence = self._jobs.get(key)
        return 0 if sequence is None else sequence.tokens_at(self._scheduler.step)

    def load(self, now_s: float) -> Load:
        """What its /metrics say now. Cost: 5 us."""
        self._run(now_s)
        return look(self.meter, self._scheduler, self._started_s)

    def kv_changes(self) -> Changes:
        """What the cache gained and lost since the last call. Blocks of an answer come when it ends.

        Needs `kv_events`; without, nothing is noted.
        """
        return Changes(*self._scheduler.pages.changes()) if self._kv_events else Changes()

    def is_cached(self, blocks: Many[int]) -> int:
        """How many leading blocks are in the cache right now: the truth, which no picker sees."""
        return self._scheduler.pages.match(blocks, len(blocks))[0]

    def _begin(self, started_s: float) -> None:
        self._started_s = started_s
        self.meter = Meter(self._max_model_len)
        self._scheduler = Scheduler(self.profile)
        if self._kv_events:
            self._scheduler.pages.watch()
        self._jobs: dict[Key, Sequence] = {}
        self._aborted: list[Sequence] = []
        self._span: Span | None = None
        self._batch = Batch([], [])
        self._number = 0
        self._stalled_s = -inf
        self._is_idle = False

    def _check(self, job: Job, now_s: float) -> None:
        if now_s < self.ready_s:
            raise ValueError("the engine is not ready yet")
        if job.key in self._jobs:
            raise ValueError(f"there is a job {job.key!r} already")
        if job.prompt_tokens < 1 or job.output_tokens < 1:
            raise ValueError("a job needs a prompt and an answer of one token each")
        tokens = job.prompt_tokens + job.output_tokens
        if tokens > self._scheduler.pages.usable * self.profile.block_tokens:
            raise ValueError("a job must fit into the KV cache")
        if job.adapter and not self.profile.lora_slots:
            raise ValueError("the engine has no slots for adapters")

    def _run(self, now_s: float) -> None:
        while (span := self._span) is not None:
            done = span.done_by(now_s)
            self._advance(span, done)
            if done < span.steps:
                return
            self._end(span)

    def _advance(self, span: Span, done: int) -> None:
        """Count the steps that have ended since somebody looked."""
        scheduler = self._scheduler
        before = scheduler.step - span.first
        if done == before:
            return
        scheduler.advance(done - before, goes_on=done < span.steps)
        if not (decoding := scheduler.decoding):
            return
        self.meter.generation_tokens += decoding * (done - before)
        if not self._batch.prefill_tokens:
            self.meter.iteration_tokens.observe(decoding, done - before)
        count_steps(self.meter.itl_s, span, (before, done), decoding)

    def _end(self, span: Span) -> None:
        """All steps of a span have ended: first tokens, ends, and the next plan."""
        end_s, scheduler, batch = span.last_s, self._scheduler, self._batch
        if batch.prefill_tokens:
            self.meter.iteration_tokens.observe(batch.prefill_tokens + scheduler.decoding)
        for sequence in batch.prefills:
            self._first(sequence, end_s)
        for sequence in scheduler.end_step():
            sequence.last_s = end_s
            self._done(sequence, end_s)
        while self._aborted:
            self._drop(self._aborted.pop(0), end_s)
        self._plan(end_s)

    def _first(self, sequence: Sequence, now_s: float) -> None:
        self._scheduler.join(sequence)
        self.meter.generation_tokens += 1
        if sequence.first_s >= 0:  # computed again after a preemption
            self.meter.itl_s.observe(now_s - sequence.last_s)
            return
        sequence.first_s = now_s
        count_first(self.meter, sequence)
        self._events.append(First(sequence.job.key, now_s, sequence.cached_tokens))

    def _done(self, sequence: Sequence, now_s: float) -> None:
        job = sequence.job
        del self._jobs[job.key]
        self._events.append(Done(job.key, now_s, job.output_tokens))
        count_done(self.meter, sequence)

    def _drop(self, sequence: Sequence, now_s: float) -> None:
        key, tokens = sequence.job.key, sequence.tokens_at(self._scheduler.step)
        if self._jobs.get(key) is sequence:
            del self._jobs[key]
            self._scheduler.drop(sequence)
            self._events.append(Done(key, now_s, tokens, "aborted"))

    def _plan(self, now_s: float) -> None:
        """Decide on what comes after `now_s`."""
        scheduler, profile = self._scheduler, self.profile
        self._span = None
        if not self._jobs:
            return
        batch = self._batch = scheduler.plan(now_s)
        for sequence in batch.preempted:
            sequence.last_s = now_s
            self.meter.preemptions += 1
            self._events.append(Preempted(sequence.job.key, now_s))
        tokens, decoding = batch.prefill_tokens + scheduler.decoding, scheduler.decoding
        self._is_idle = tokens == 0
        if self._is_idle:
            self._await_receipt(now_s)
            return
        stall_s = max(self._stalled_s - now_s, 0.0)
        context = scheduler.context + decoding * (scheduler.step + 1)
        fixed_s = (
            profile.step_s
            + max(profile.weights_s, tokens * profile.token_s)
            + decoding * profile.sequence_s
            + batch.pairs * profile.pair_s
            + batch.adapters * profile.lora_load_s
            + stall_s
        )
        span = Span(now_s, scheduler.step, 1, fixed_s, profile.context_s, context, decoding)
        if not (batch.prefill_tokens or batch.preempted or stall_s):
            span.steps += scheduler.steady()
            receipt_s = scheduler.next_receipt_s
            if receipt_s is not None and receipt_s < span.last_s:
                span.steps = min(span.steps, span.done_by(receipt_s) + 1)
        self._span = span

    def _await_receipt(self, now_s: float) -> None:
        """Nothing can be computed until KV arrives: a step of nothing, until then."""
        receipt_s = self._scheduler.next_receipt_s
        if receipt_s is not None:
            self._span = Span(now_s, self._scheduler.step, 1, receipt_s - now_s, 0.0, 0, 0)

    def _replan(self, now_s: float, *, needed: bool = True) -> None:
        """Plan anew: now if nothing is computed, else when the running step ends."""
        span = self._span
        if span is None or self._is_idle:
            self._plan(now_s)
        elif needed:
            span.steps = min(span.steps, self._scheduler.step - span.first + 1)
