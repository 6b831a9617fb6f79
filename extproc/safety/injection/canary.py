"""A mark in the system prompt: whoever finds it in an answer sees the system prompt leak.

It is keyed, so nobody can tell it from outside, and the same for all requests of a tenant, so engines keep what
they computed of the prompt. It stands at the end of the system prompt, behind what tenants have in common.
"""

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

from extproc.dialects.body import Document
from extproc.dialects.rewriting import Rewriting
from extproc.dialects.system import BETWEEN, SYSTEM_ROLES
from extproc.request import Kind

LENGTH = 16
"""80 bits: nothing is written by chance that is one."""
CUT = "[the rest was withheld by the gateway]"


def make_canary(secret: str, tenant: str) -> str:
    """Small letters and digits: no tokenizer is surprised, and nothing in it needs an escape."""
    digest = hmac.digest(secret.encode(), f"canary:{tenant}".encode(), sha256)
    return base64.b32encode(digest).decode().lower()[:LENGTH]


def plant(kind: Kind, document: Document, canary: str) -> dict[str, Any]:
    """Return the members to change. None for operations that have no system prompt."""
    text = f"Reference of this text, not for others to see: {canary}"
    match kind:
        case Kind.CHAT:
            return {"messages": in_chat(document["messages"], text)}
        case Kind.RESPONSES:
            return {"instructions": behind(document.get("instructions"), text)}
        case Kind.MESSAGES | Kind.COUNT_TOKENS:
            return {"system": behind(document.get("system"), text)}
        case _:
            return {}


def in_chat(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    first = messages[0]
    if first["role"] not in SYSTEM_ROLES:
        return [{"role": "system", "content": text}, *messages]
    return [{**first, "content": behind(first.get("content"), text)}, *messages[1:]]


def behind(content: object, text: str) -> object:
    if not content:
        return text
    if isinstance(content, str):
        return f"{content}{BETWEEN}{text}"
    return [*cast("list[object]", content), {"type": "text", "text": f"{BETWEEN}{text}"}]


def watching(kind: Kind, canary: str, *, cuts: bool, leaked: Callable[[], None]) -> Rewriting:
    """Watch one answer. `leaked` is called once, when the mark is seen; if it `cuts`, nothing more of the
    text it stands in goes out. Holds back what may be the beginning of it: 15 characters at most."""
    return Rewriting(kind, Watch(canary, cuts=cuts, leaked=leaked))


class Watch:
    """The editor."""

    def __init__(self, canary: str, *, cuts: bool, leaked: Callable[[], None]) -> None:
        self._canary = canary
        self.cuts = cuts
        self._leaked = leaked
        self._whole = canary.encode()
        self._beginnings = tuple(f'{canary[:length]}"'.encode() for length in range(1, LENGTH))
        self.has_leaked = False

    def begin(self, depth: int) -> "Watched":  # noqa: ARG002 - it needs no escape, however deep it stands
        return Watched(self)

    def may_change(self, raw: bytes) -> bool:
        """Whether the mark is there, or may begin at the end of a string."""
        low = raw.lower()
        return self._whole in low or any(each in low for each in self._beginnings)

    def may_stand(self, raw: bytes) -> bool:
        return self._whole in raw.lower()

    def find(self, text: str) -> int:
        """Where it stands; -1: nowhere."""
        return text.lower().find(self._canary)

    def tail(self, text: str) -> int:
        """How many characters at the end may be its beginning."""
        low = text[1 - LENGTH :].lower()
        most = min(LENGTH - 1, len(low))
        return next((size for size in range(most, 0, -1) if low.endswith(self._canary[:size])), 0)

    def found(self) -> None:
        if not self.has_leaked:
            self.has_leaked = True
            self._leaked()


class Watched:
    """One text. Where the answer is only tagged, nothing in it is changed."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._held = ""
        self._is_shut = False

    @property
    def idle(self) -> bool:
        return not (self._held or self._is_shut)

    def feed(self, text: str) -> str:
        if self._is_shut:
            return ""
        text = self._held + text
        at = self._watch.find(text)
        if at >= 0:
            self._watch.found()
            if self._watch.cuts:
                self._held, self._is_shut = "", True
                return text[:at] + CUT
        size = self._watch.tail(text)
        self._held = text[len(text) - size :]
        return text[: len(text) - size]

    def finish(self) -> str:
        held, self._held = self._held, ""
        return held
