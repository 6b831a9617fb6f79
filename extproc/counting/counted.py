"""What is known of a request's tokens before an engine has seen it."""

from collections.abc import Mapping

import msgspec

from extproc.counting.counter import CountedBy
from extproc.counting.mix import Mix
from extproc.request import Fact, Scalar


class Counted(Fact, frozen=True):
    """Established by `filters/count.py`."""

    prompt_tokens: int
    """As `usage.prompt_tokens` will have it: all prompts of a batch, each once whatever `n` says."""
    counted_by: CountedBy = "estimate"
    is_exact: bool = False
    """The engine will count the same."""
    likely_tokens: int = 0
    """What all answers together will probably not exceed."""
    most_tokens: int = 0
    """What they cannot exceed."""
    answers: int = 1
    """All prompts of a batch, each `n` times; 0 where nothing is generated."""
    mix: Mix | None = None
    """What an estimate was made of, if the truth can correct it."""

    def witness(self) -> Mapping[str, Scalar]:
        """Beside the truth, at the end, this says how good the count was."""
        known: dict[str, Scalar] = {
            "prompt_estimate": self.prompt_tokens,
            "counted_by": self.counted_by,
        }
        if self.mix is not None:
            known["prompt_mix"] = self.mix.encode()
        if self.answers > 1:
            known["answers"] = self.answers
        return known


class Truth(msgspec.Struct, frozen=True):
    """The same, read back at the end of a request."""

    estimate: int
    counted_by: str
    answers: int

    @classmethod
    def read(cls, witness: Mapping[str, Scalar]) -> "Truth | None":
        """Numbers come back as floats; None when this request was not counted."""
        estimate, answers = witness.get("prompt_estimate"), witness.get("answers", 1)
        if not isinstance(estimate, int | float) or not isinstance(answers, int | float):
            return None
        return cls(int(estimate), str(witness.get("counted_by", "")), max(int(answers), 1))
