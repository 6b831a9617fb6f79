"""Special tokens: texts that are one token each, wherever they stand, and that no word crosses."""

import re
from collections.abc import Sequence


def any_of(specials: Sequence[str]) -> re.Pattern[str] | None:
    """Find any of them, the longest first, as tokenizers do."""
    longest = sorted((s for s in specials if s), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest))) if longest else None


def is_clean(token: str, specials: Sequence[str]) -> bool:
    """Whether this token is found wherever it stands: no other one contains it, and none ends as it
    begins."""
    beginnings = tuple(token[:length] for length in range(1, len(token)))
    return not any(
        other.endswith(beginnings) or (token in other and token != other) for other in specials
    )
