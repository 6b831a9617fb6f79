"""Where a text stands in a body: the way to it from the top, by names and indices."""

import re
from typing import Final, TypeAlias

JSON: Final = -1
"""Steps into a text that holds JSON. Below zero, as no index is."""
KEY: Final = -2
"""Steps to the name of a member, which follows, and not to its value."""

Step: TypeAlias = str | int
Place: TypeAlias = tuple[Step, ...]
"""A path into the document."""

PLAIN = re.compile(r"[A-Za-z_][A-Za-z_-]{0,63}")
"""Names of members that may be told."""


def write_place(place: Place) -> str:
    """Write a path for people, such as `messages[0].content`. Names that may themselves be what must
    not be told stand as `*`."""
    said = ""
    steps = iter(place)
    for step in steps:
        if step == JSON:
            continue
        if step == KEY:
            break
        if isinstance(step, int):
            said += f"[{step}]"
        else:
            said += f".{step}" if PLAIN.fullmatch(step) else ".*"
    return said.removeprefix(".") or "*"
