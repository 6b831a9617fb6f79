"""What an answer says of its tokens: read from its last bytes, because all of them pass here anyway."""

import json
import re
from collections.abc import Mapping
from typing import cast

from extproc.filter import BodyTransform
from extproc.request import Scalar

KEPT_BYTES = 8 * 1024
"""Usage is a few hundred bytes, and little comes after it: the last events of a stream, or members that
are null."""
USAGE = re.compile(r'(?<!\\)"usage"\s*:\s*(?=\{)')
"""Within a text, the quotes would be escaped."""
READ = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
"""Our names, which are OpenAI's older ones, and the newer ones that Anthropic has, too."""
DETAILS = ("prompt_tokens_details", "input_tokens_details")
EVENT = b"data:"
UNCOUNTED_EVENTS = 2
"""Of a stream that tells no usage: its first event has a role and no text, its last is `[DONE]`."""

decode = json.JSONDecoder().raw_decode


class Tail(BodyTransform):
    """Changes nothing. About 1 us for each chunk."""

    def __init__(self) -> None:
        self._kept = b""
        self._events = 0

    def feed(self, chunk: bytes) -> bytes:
        self._events += (self._kept[1 - len(EVENT) :] + chunk).count(EVENT)  # one may be cut
        self._kept = (self._kept + chunk)[-KEPT_BYTES:]
        return chunk

    def finish(self) -> bytes:
        return b""

    def usage(self) -> Mapping[str, Scalar]:
        """Tell what the engine said last. A stream that says nothing has written a token or more
        in each event."""
        found = read_usage(self._kept.decode("utf-8", "replace"))
        written = self._events - UNCOUNTED_EVENTS
        return found if found or written <= 0 else {"completion_tokens": written}


def read_usage(text: str) -> Mapping[str, Scalar]:
    """Read the last usage that is complete; empty when there is none."""
    for match in reversed([*USAGE.finditer(text)]):
        try:
            said = decode(text, match.end())[0]
        except (ValueError, RecursionError):
            continue
        return name_tokens(cast("dict[str, object]", said))
    return {}


def name_tokens(said: Mapping[str, object]) -> Mapping[str, Scalar]:
    found: dict[str, Scalar] = {}
    for names in READ:
        for name in names:
            if isinstance(count := said.get(name), int):
                found[names[0]] = count
    for name in DETAILS:
        details = said.get(name)
        cached = (
            cast("dict[str, object]", details).get("cached_tokens")
            if isinstance(details, dict)
            else None
        )
        if isinstance(cached, int):
            found["cached_tokens"] = cached
    return found
