"""One request inside of an engine: what was asked, and how far it is."""

import msgspec

Key = int | str


class Job(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an engine has to do for one sequence."""

    key: Key
    blocks: tuple[int, ...]
    """Chained hashes of the whole blocks of the prompt, then, if the caller knows them, of the
    answer; salt included. Blocks of an answer without a hash are not found again."""
    prompt_tokens: int
    output_tokens: int
    """1 or more. A prefill engine is asked for 1."""
    adapter: str = ""
    received_tokens: int = 0
    """How many of the prompt's tokens a prefill engine has computed and sends over."""
    reason: str = "length"
    """Why it will end, for the counters."""


class Sequence:
    """A job on its way. `base` tokens have to be computed before it decodes: the prompt, and after
    a preemption what it had generated, too."""

    __slots__ = (
        *("arrived_s", "base", "cached_tokens", "computed", "done_step", "first_s", "full"),
        *("generated", "held", "is_aborted", "is_received", "job", "joined", "last_s", "number"),
        *("preemptions", "scheduled_s"),
    )

    def __init__(self, job: Job, number: int, arrived_s: float) -> None:
        self.job = job
        self.number = number
        self.arrived_s = arrived_s
        self.scheduled_s = -1.0
        self.first_s = -1.0
        self.last_s = -1.0
        self.base = job.prompt_tokens
        self.computed = 0
        self.held = 0
        """Blocks, while it is in prefill."""
        self.full = 0
        """How many of its blocks others can find: full ones, with a hash."""
        self.generated = 0
        """Tokens, at the time it joined."""
        self.joined = -1
        """The step in which its prefill ended; it decodes since. -1: not yet."""
        self.done_step = -1
        self.cached_tokens = 0
        self.preemptions = 0
        self.is_received = job.received_tokens == 0
        self.is_aborted = False

    def tokens_at(self, step: int) -> int:
        """How many tokens it has generated when that step has ended."""
        return self.generated if self.joined < 0 else self.generated + 1 + step - self.joined

    def computed_at(self, step: int) -> int:
        """For how many tokens there is KV: never for the last one, which was only sampled."""
        return self.computed if self.joined < 0 else self.base + step - self.joined
