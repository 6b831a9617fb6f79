"""Guards against abuse: who is refused too often, and who sends too many long prompts."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, model_validator

from extproc.guards.base import Growth
from extproc.guards.rules import REFUSALS, PromptRule, RefusalRule, prompt_windows, window
from extproc.policy.base import Strict
from extproc.policy.identities import Network
from extproc.policy.limits import DURATION, PERIODS_S, UNITS_S, check_every

LONGEST_S = 31 * 86400
Seconds = Annotated[int, Field(ge=1, le=LONGEST_S)]


def check_duration(text: str) -> str:
    if check_every(text) == "month":
        raise ValueError("a month has no length of its own: write 30d")
    return text


def switch_on(given: object) -> object:
    """A guard that is named without a word more has its defaults."""
    return {} if given is None else given


Duration = Annotated[str, AfterValidator(check_duration)]


def read_duration_s(text: str) -> int:
    """Read `30s`, `5m`, `12h`, `7d`, `minute`. It has been checked."""
    match = DURATION.fullmatch(text)
    return int(match[1]) * UNITS_S[match[2]] if match else PERIODS_S[text]


class RefusalsPolicy(Strict):
    """Bans clients whose requests are refused too often: keys and users that are known, else
    addresses."""

    most: Annotated[int, Field(ge=1, le=1_000_000)] = 100  # refusals of each client
    every: Duration = "1m"  # in any stretch of that length: 30s, 5m, 12h, 7d
    ban_s: Seconds = 60  # how long the first ban is
    factor: Annotated[FiniteFloat, Field(ge=1, le=100)] = 2.0  # the next within a day: times longer
    longest_s: Seconds = 86400
    exempt: tuple[Network, ...] = ()  # what comes from there never counts
    shadow: bool = False  # bans and tells, refuses nobody

    @model_validator(mode="after")
    def check_lengths(self) -> Self:
        if self.ban_s > self.longest_s:
            raise ValueError("ban_s is the shortest ban: it cannot be above longest_s")
        return self

    def rule(self) -> RefusalRule:
        return RefusalRule(
            window(REFUSALS, self.most, read_duration_s(self.every)),
            Growth(self.ban_s, self.factor, self.longest_s),
            self.exempt,
            self.shadow,
        )


class LongPromptsPolicy(Strict):
    """Refuses the long prompts of a key or user, when too large a share of its prompts is long."""

    tokens: Annotated[int, Field(ge=1, le=10_000_000)] = 5000  # above this a prompt is long
    share: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.3  # of its requests, above which it is on
    least_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 20  # fewer say nothing
    every: Duration = "5m"  # the stretch of time that is looked at
    for_s: Seconds = 600  # how long it is on
    shadow: bool = False  # switches on and tells, refuses nothing

    def rule(self) -> PromptRule:
        every, long = prompt_windows(read_duration_s(self.every))
        return PromptRule(
            every, long, self.tokens, self.share, self.least_requests, self.for_s, self.shadow
        )


class GuardsPolicy(Strict):
    """Each is off unless it stands here."""

    refusals: Annotated[RefusalsPolicy | None, BeforeValidator(switch_on)] = None
    long_prompts: Annotated[LongPromptsPolicy | None, BeforeValidator(switch_on)] = None

    @property
    def on(self) -> bool:
        return self.refusals is not None or self.long_prompts is not None
