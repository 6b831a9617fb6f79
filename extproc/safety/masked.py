"""What a request has had masked, and the form of placeholders: all that restoring needs to know."""

from collections.abc import Mapping

import msgspec

from extproc.request import Fact, Scalar

TAG_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so no words; no digits, so nobody takes a placeholder for a number."""
TAG_LENGTH = 8
"""34 bits: of a thousand values in a request, two are alike once in 50 000 requests (`mask.py` tells
them apart)."""
NAME_LENGTH = 24
"""Of what stands before the tag: the type in capitals."""
LOOK = rf"<[A-Z][A-Z_]{{0,{NAME_LENGTH - 1}}}_[{TAG_LETTERS}]{{{TAG_LENGTH}}}>"
"""A placeholder as it is written: `<EMAIL_KXWQPTZB>`. Nothing in it needs an escape in JSON. A text
that comes with one is masked itself, in any case of its letters, so that what is restored is ours."""
LONGEST = 1 + NAME_LENGTH + 1 + TAG_LENGTH + 1
"""Characters of the longest placeholder."""


class Masked(Fact, frozen=True):
    """Some of this request's texts were masked; established by `filters/pii.py`. Without this fact,
    none was."""

    values: Mapping[str, str]
    """Placeholder -> what stood there; of this request alone."""
    counts: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    """How many values of each type were masked."""

    def witness(self) -> Mapping[str, Scalar]:
        return {"pii_masked": sum(self.counts.values())}
