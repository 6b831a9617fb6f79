"""A request that runs, and the settings of the process it runs in. Values, and a little counting."""

from dataclasses import dataclass, field
from typing import Literal

from engines.sim.answer import Words
from engines.sim.driver import Ticket
from engines.sim.profile import Profile
from engines.sim.tokens import Prompt

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
    adapters: tuple[str, ...] = ()
    """LoRA adapters, by the names that requests call them."""
    profile: Profile | None = None
    """The physics; without, every request has the pace above, and none waits for another. Its
    blocks are then those that count."""
    kv_events: bool = False
    role: Literal["both", "prefill", "decode"] = "both"


@dataclass(slots=True)
class Choice:
    """One sequence that is generated: one of the `n` of one prompt.

    With physics, what was cached is known when it has its first token, and 0 until then.
    """

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
    ticket: Ticket | None = None
    """Its place in the batch, if there is one."""
    adapter: str = ""
    transfer: dict[str, object] | None = None
    """Where a decode engine finds the KV of the prompt."""
    tells_ids: bool = False
    """Whether a chat is answered with token ids, too."""
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
