"""`Prompt` -> the bytes that leave: what `read` is for the way in.

The body is encoded anew even when no filter changed it: duplicate members and odd escapes then
cannot mean one thing to us and another to an engine.
"""

from typing import ClassVar

import msgspec

from extproc.budget import MAX_BODY_BYTES, too_large
from extproc.decision import Decision
from extproc.filter import Filter
from extproc.filters.salt import Salt
from extproc.request import Fact, Payload, Prompt, Request


class Write(Filter):
    name: ClassVar[str] = "write"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Prompt, Salt})  # none leaves unsalted
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Payload})

    async def decide(self, request: Request) -> Decision:
        raw = msgspec.json.encode(request.fact(Prompt).document)
        if len(raw) > MAX_BODY_BYTES:  # 1e15 is written as 1000000000000000.0
            return too_large()
        return request.having(Payload(raw))
