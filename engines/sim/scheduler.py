"""Which sequences the next step computes: continuous batching as vLLM's scheduler does it.

Those that decode come first, then the prompt that is in pieces, then what waits, in the order of
arrival, as far as the step's tokens, the number of sequences, the blocks and the LoRA slots reach. A
prompt is let in only if all of it fits. When blocks run out, the newest sequence loses its own, goes
back to the head of the queue and is computed again.

A step costs nothing per sequence that decodes: what they need is kept in sums.
"""

from collections import Counter, OrderedDict, deque
from heapq import heapify, heappop, heappush
from itertools import chain

import msgspec

from engines.sim.paged import Pages
from engines.sim.profile import Profile
from engines.sim.sequence import Key, Sequence


class Batch(msgspec.Struct, gc=False):
    """What the next step computes, besides one token for every sequence that decodes."""

    prefills: list[Sequence]
    preempted: list[Sequence]
    prefill_tokens: int = 0
    pairs: float = 0.0
    """Tokens of prompts, times those before each."""
    adapters: int = 0
    """How many have to be loaded first."""


class Scheduler:
    """The queues of one engine, counted in steps. Knows no time but that of transfers."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.pages = Pages(profile.blocks)
        self.step = 0
        """How many have ended."""
        self.waiting: deque[Sequence] = deque()
        self.arrived: deque[Sequence] = deque()
        """They have what a prefill engine has computed, and wait to go on."""
        self.running: dict[Key, Sequence] = {}
        """The newest last."""
        self.decoding = 0
        self.context = 0
        """Of all that decode: their tokens, had they decoded since step 0."""
        self.adapters: Counter[str] = Counter()
        """Of those that run."""
        self.loaded: OrderedDict[str, None] = OrderedDict()
        self._partial: Sequence | None = None
        self._phases = [0] * profile.block_tokens
        self._ends: list[tuple[int, int, Sequence]] = []
        self._receiving: list[tuple[float, int, Sequence]] = []

    def plan(self, now_s: float) -> Batch:
        """Decide on the next step, and take the blocks that it fills."""
        batch = Batch([], [])
        self._receive(now_s)
        chunk = self._make_room(batch)
        self.pages.take(self._due(self.step + 1))
        if chunk and self._partial:
            self._compute(self._partial, chunk, batch)
        if not (batch.preempted and self.running):
            self._admit(batch, now_s)
        return batch

    def end_step(self) -> list[Sequence]:
        """The last step has ended. Returns those that are done with it, and forgets them."""
        ended: list[Sequence] = []
        while self._ends and self._ends[0][0] <= self.step:
            _, _, sequence = heappop(self._ends)
            if self.running.get(sequence.job.key) is sequence and sequence.done_step == self.step:
                ended.append(sequence)
                self.leave(sequence)
        return ended

    def join(self, sequence: Sequence) -> None:
        """Its prefill ended with the last step: it has its next token, and decodes from now on."""
        sequence.joined = self.step
        sequence.done_step = self.step + sequence.job.output_tokens - sequence.generated - 1
        heappush(self._ends, (sequence.done_step, sequence.number, sequence))
        self._count(sequence, 1)

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence out of the batch; its blocks stay cached."""
        del self.running[sequence.job.key]
        self._part(sequence)

    def drop(self, sequence: Sequence) -> None:
        """Take out a sequence wherever it is."""
        if sequence.job.key in self.running:
            self.leave(sequence)
            return
        for queue in (self.arrived, self.waiting):
            if sequence in queue:
                queue.remove(sequence)
        self._receiving = [entry for entry in self._receiving if entry[2] is not sequence]
        heapify(self._receiving)
        self._free(sequence)

    def advance(self, steps: int, *, goes_on: bool) -> None:
        """Steps have ended. If the batch goes on, the next one has begun, and fills its blocks."""
        size, first = self.profile.block_tokens, self.step + 2
        begun = steps if goes_on else steps - 1
        rounds, rest = divmod(begun, size)
        due = rounds * self.decoding + sum(map(self._due, range(first, first + rest)))
        self.pages.take(due)
        self.step += steps

    def steady(self) -> int:
        """For how many steps after the next the batch can stay as it is."""
        left = self._ends[0][0] - self.step - 1 if self._ends else 0
        if left <= 0:
            return 0
        free, size = self.pages.free, self.profile.block_tokens
        rounds = min(free // max(self.decoding, 1), left // size)
        steps, free = rounds * size, free - rounds * self.decoding
        while steps < left and (due := self._due(self.step + 2 + steps)) <= free:
            free -= due
            steps += 1
        return steps

    @property
    def next_receipt_s(self) -> float | None:
        """When the next transfer of KV ends."""
        return self._receiving[0][0] if self._receiving else None

    @property
    def queued(self) -> int:
        """How many wait, those that wait for KV included."""
        return len(self.waiting) + len(self.arrived) + len(self._receiving)

    @property
    def is_open(self) -> bool:
        """Whether somebody who arrives now might be in the next step."""
        waiting = self.waiting
        if not waiting:
            return len(self.running) < self.profile.max_seqs
        return len(self.running) < self.profile.max_seqs and any(
            sequence.job.adapter for sequence in waiting
        )

    @property
    def deferred(self) -> int:
        """Of those that wait: for KV, or for a slot for their adapter."""
        adapters = sum(not self._has_slot(one.job.adapter) for one in self.waiting)
        return len(self._receiving) + adapters

    def waiting_adapters(self) -> set[str]:
        receiving = (entry[2] for entry in self._receiving)
        queued = chain(self.waiting, self.arrived, receiving)
        return {sequence.job.adapter for sequence in queued} - {""}

    def _due(self, step: int) -> int:
        """How many blocks those that decode begin in that step."""
        return self._phases[step % self.profile.block_tokens]

    def _count(self, sequence: Sequence, by: int) -> None:
        """Add to or take from the sums of those that decode."""
        offset = sequence.base - sequence.joined
        self.decoding += by
        self.context += by * offset
        self._phases[(1 - offset) % self.profile.block_tokens] += by

    def _make_room(self, batch: Batch) -> int:
        """Preempt until the blocks suffice. Returns how much of the partial prompt comes next."""
        while True:
            partial, chunk, blocks = self._partial, 0, self._due(self.step + 1)
            if partial:
                budget = self.profile.max_batched_tokens - self.decoding
                chunk = min(budget, partial.base - partial.computed)
                blocks += max(self._blocks(partial.computed + chunk) - partial.held, 0)
            if blocks <= self.pages.free:
                return chunk
            self._preempt(next(reversed(self.running.values())), batch)

    def _preempt(self, sequence: Sequence, batch: Batch) -> None:
        sequence.generated = sequence.tokens_at(self.step)
        self.leave(sequence)
        sequence.base = sequence.job.prompt_tokens + sequence.generated
        sequence.joined = sequence.done_step = -1
        sequence.computed = sequence.full = 0
        sequence.preemptions += 1
        sequence.is_received = True  # what was sent over is gone: it is computed here
        self.waiting.appendleft(sequence)
        batch.preempted.append(sequence)

    def _admit(self, batch: Batch, now_s: float) -> None:
        """Let in who waits: first those that hold blocks already, for nobody can take them away."""
        budget = self.profile.max_batched_tokens - self.decoding - batch.prefill_tokens
        for queue in (self.arrived, self.waiting):
            skipped = list[Sequence]()
            while queue and budget > 0 and len(self.running) < self.profile.max_seqs:
                sequence = queue[0]
                if not self._has_slot(sequence.job.adapter):
                    skipped.append(queue.popleft())
                    continue
                if sequence.held == 0 and not self._place(sequence):
                    break
                queue.popleft()
                if sequence.is_received:
                    budget -= self._begin(sequence, budget, batch, now_s)
                else:
                    self._request(sequence, now_s)
            queue.extendleft(reversed(skipped))

    def _begin(self, sequence: Sequence, budget: int, batch: Batch, now_s: float) -> int:
        """Compute the first piece of a prompt. Returns its tokens."""
        if sequence.scheduled_s < 0:
            sequence.scheduled_s = now_s
        self.running[sequence.job.key] = sequence
        self._load(sequence.job.adapter, batch)
        chunk = min(budget, sequence.base - sequence.computed)
        self._compute(sequence, chunk, batch)
        return chunk

    def _place(self, sequence: Sequence) -> bool:
        """Give it the blocks that are cached, if there is room for all that it still needs."""
        blocks, size = sequence.job.blocks, self.profile.block_tokens
        # At least one token is computed, for there must be something to sample from.
        found, unused = self.pages.match(blocks, (sequence.base - 1) // size)
        if self._blocks(sequence.base) - found + unused > self.pages.free:
            return False
        sequence.held = sequence.full = found
        sequence.computed = found * size
        self.pages.hold(blocks[:found])
        if sequence.preemptions == 0:
            sequence.cached_tokens = sequence.computed
            sequence.is_received |= sequence.job.received_tokens <= sequence.computed
        return True

    def _request(self, sequence: Sequence, now_s: float) -> None:
        """Ask the prefill engine for its KV, into blocks that are held from now on."""
        blocks = self._blocks(sequence.base)
        self.pages.take(blocks - sequence.held)
        sequence.held = blocks
        tokens = sequence.job.received_tokens - sequence.computed
        due_s = now_s + tokens * self.profile.kv_transfer_s_per_token
        heappush(self._receiving, (due_s, sequence.number, sequence))

    def _receive(self, now_s: float) -> None:
        while self._receiving and self._receiving[0][0] <= now_s:
            sequence = heappop(self._receiving)[2]
            sequence.is_received = True
            sequence.computed = min(sequence.job.received_tokens, sequence.base - 1)
            self._name(sequence, sequence.computed)
            self.arrived.append(sequence)

    def _compute(self, sequence: Sequence, chunk: int, batch: Batch) -> None:
        before, after = sequence.computed, sequence.computed + chunk
        blocks = max(self._blocks(after), sequence.held)
        self.pages.take(blocks - sequence.held)
        sequence.held, sequence.computed = blocks, after
        self._name(sequence, after)
        batch.prefill_tokens += chunk
        batch.pairs += chunk * (before + chunk / 2)
        self._partial = sequence if after < sequence.base else None
        if self._partial is None:
            batch.prefills.append(sequence)

    def _name(self, sequence: Sequence, tokens: int) -> None:
        """Blocks are found by others from the moment they are planned, as in vLLM."""
        full = min(tokens // self.profile.block_tokens, len(sequence.job.blocks))
        if full > sequence.full:
            self.pages.name(sequence.job.blocks[sequence.full : full])
            sequence.full = full

    def _part(self, sequence: Sequence) -> None:
        if sequence is self._partial:
            self._partial = None
        if sequence.joined >= 0:
            self._count(sequence, -1)
            tokens = sequence.computed_at(self.step)
            sequence.held = self._blocks(tokens)
            self._name(sequence, tokens)
        if adapter := sequence.job.adapter:
            self.adapters[adapter] -= 1
            self.adapters += Counter()  # forgets those at zero
        self._free(sequence)

    def _free(self, sequence: Sequence) -> None:
        full = sequence.full
        self.pages.let_go(sequence.job.blocks[:full], sequence.held - full)
        sequence.held = sequence.full = 0

    def _has_slot(self, adapter: str) -> bool:
        adapters = self.adapters
        return not adapter or adapter in adapters or len(adapters) < self.profile.lora_slots

    def _load(self, adapter: str, batch: Batch) -> None:
        if not adapter:
            return
        self.adapters[adapter] += 1
        if adapter not in self.loaded:
            batch.adapters += 1
            if len(self.loaded) >= self.profile.lora_slots:
                del self.loaded[next(name for name in self.loaded if name not in self.adapters)]
        self.loaded[adapter] = None
        self.loaded.move_to_end(adapter)

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.profile.block_tokens)
