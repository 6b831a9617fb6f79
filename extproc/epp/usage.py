"""What an answer says of its tokens: read as it passes, because all of it passes here anyway. The last
word counts."""

import json
import re
from collections.abc import Mapping
from typing import cast

from extproc.filter import BodyTransform
from extproc.request import Scalar

KEPT_BYTES = 8 * 1024
"""Of the end of what has come. Usage is a few hundred bytes, and little comes after it: the last events of a
stream, or members that are null; but for what clients may ask for, as the probabilities of a prompt."""
USAGE_BYTES = 1024
NAME = b'"usage"'
BEGUN = re.compile(rb'(?<!\\)"usage"\s*:\s*\{')
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

    reads = False

    def __init__(self) -> None:
        self._kept = b""
        self._events = 0
        self._passed = b""
        """What was said last before that."""

    def feed(self, chunk: bytes) -> bytes:
        self._events += (self._kept[1 - len(EVENT) :] + chunk).count(EVENT)  # one may be cut
        whole = self._kept + chunk
        if (gone := len(whole) - KEPT_BYTES) > 0:
            self._pass(whole, gone + USAGE_BYTES)
        self._kept = whole[-KEPT_BYTES:]
        return chunk

    def _pass(self, whole: bytes, end: int) -> None:
        """Keep the last usage that begins before `end`."""
        while (end := whole.rfind(NAME, 0, end)) >= 0:
            if BEGUN.match(whole, end):
                self._passed = whole[end : end + USAGE_BYTES]
                return

    def finish(self) -> bytes:
        return b""

    def usage(self) -> Mapping[str, Scalar]:
        """Tell what the engine said last. A stream that says nothing has written a token or more
        in each event."""
        found = read_usage(self._kept) or read_usage(self._passed)
        written = self._events - UNCOUNTED_EVENTS
        return found if found or written <= 0 else {"completion_tokens": written}


def read_usage(raw: bytes) -> Mapping[str, Scalar]:
    """Read the last usage that is complete; empty when there is none."""
    text = raw.decode("utf-8", "replace")
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
