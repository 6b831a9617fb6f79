"""Make engines say in streams what they count, so that no token goes unmetered.

In OpenAI's older APIs an engine reports usage of a stream only when asked. We always ask, for
running counts too, so that a client that leaves midway is billed for what it got; what the client
did not ask for, Envoy takes out again (`dataplane/strip.lua`). Streams of `/v1/responses` and
`/v1/messages` report usage by themselves, at their end, and cannot be asked for more.
"""

from collections.abc import Mapping
from typing import ClassVar

from engines.base import Engine
from extproc.decision import Decision
from extproc.filter import Filter
from extproc.request import Fact, Kind, Model, Operation, Prompt, Request, Strip

ASKED = frozenset({Kind.CHAT, Kind.COMPLETIONS})
"""Operations with `stream_options.include_usage`."""


class Measure(Filter):
    """`engines` tells the kind of engine behind each pool."""

    name: ClassVar[str] = "measure"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Prompt, Model})

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines

    async def decide(self, request: Request) -> Decision:
        prompt = request.fact(Prompt)
        if not prompt.stream or request.fact(Operation).kind not in ASKED:
            return request
        options: dict[str, object] = {**(prompt.document.get("stream_options") or {})}
        options["include_usage"] = True
        if self._engines[request.fact(Model).pool].continuous_usage:
            options["continuous_usage_stats"] = True
        request = request.having(prompt.editing(stream_options=options))
        surplus = find_surplus(prompt)
        return request.having(Strip(surplus)) if surplus else request


def find_surplus(prompt: Prompt) -> str:
    """Name what the client did not ask for; vLLM heeds `continuous` only beside `include`."""
    if not prompt.wants_usage:
        return "usage"
    return "" if prompt.wants_continuous_usage else "continuous"
