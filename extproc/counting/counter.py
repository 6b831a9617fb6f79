"""One model's prompts -> how many tokens they are: with its vocabulary, by its engine, or estimated."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Literal, TypeVar

import msgspec

from extproc.counting.draft import draft
from extproc.counting.engine import EngineCounter
from extproc.counting.estimate import Estimator
from extproc.counting.given import Given, all_text, read_given
from extproc.counting.images import FIXED_TOKENS, ImageRule, count_image
from extproc.counting.mix import Mix, scan
from extproc.counting.tokenizer import CountError
from extproc.counting.vocabulary import Vocabulary
from extproc.dialects.body import Document
from extproc.dialects.lengths import PROMPTS, as_list
from extproc.request import Kind

CountedBy = Literal["tokenizer", "engine", "estimate"]
R = TypeVar("R")

LARGE_BYTES = 65_536
"""Of a body: from here on even looking it through belongs in a thread. Tools take longest: 1.2 ms."""
LARGE_ITEMS, LARGE_RENDERED_ITEMS = 1_000, 150
"""Messages likewise: 1.2 ms; where a template that is not additive has to be rendered, 1.5 ms."""
MOST_CHARS = 4 * 1024 * 1024
"""Longer prompts are estimated: they fit into no context, and counting one takes a second of CPU.
A million tokens of English are about as long."""
DEADLINE_S = 2.0
"""For a count in a thread, waiting for one included; then it is estimated. Must be well below Envoy's
message_timeout (5 s)."""
BYTES_PER_TOKEN = 4
"""Of a body that there is no time to look at."""
LONG_BYTES = 262_144
"""Of a body: these wait for each other, and nobody else for them. Below, none takes 0.1 s."""


class Asked(msgspec.Struct, frozen=True):
    """What is to be counted, and who would know."""

    kind: Kind
    document: Document
    size_bytes: int
    """Of the body."""
    pool: str = ""
    served_as: str = ""


class Tally(msgspec.Struct, frozen=True):
    """A count, and what it is worth."""

    tokens: int
    """As `usage.prompt_tokens` will have it: all prompts of a batch, each once whatever `n` says."""
    counted_by: CountedBy
    is_exact: bool
    """The engine will count the same."""
    mix: Mix | None = None
    """What an estimate was made of; None where the engine's count says nothing about it."""


class Threads:
    """Where long texts are counted: one thread for the long ones and one for the very long, because
    counting is CPU alone and more would only take turns. One for a worker, which closes it."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._pools = [ThreadPoolExecutor(1, thread_name_prefix="count") for _ in range(2)]
        self._deadline_s = deadline_s

    async def run(self, work: Callable[[float], R], size_bytes: int) -> R:
        """`work` is told by when it should be over (monotonic clock): nobody waits for it any longer.

        Raises:
            CountError: It took too long, or could not be done.
        """
        until_s = monotonic() + self._deadline_s
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline_s):
                pool = self._pools[size_bytes > LONG_BYTES]
                return await loop.run_in_executor(pool, work, until_s)
        except TimeoutError:
            raise CountError("counting took too long") from None

    def close(self) -> None:
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Counter:
    """Of one model. Without a vocabulary or an engine to ask it estimates."""

    threads: Threads
    estimator: Estimator
    vocabulary: Vocabulary | None = None
    engine: EngineCounter | None = None
    images: ImageRule = field(default_factory=ImageRule)

    async def count(self, asked: Asked) -> Tally:
        """Count, or estimate what cannot be counted now. Keeps the event loop for 1-2 ms at most."""
        try:
            if self.engine is not None:
                return await self._ask(asked, self.engine)
            if self._is_large(asked):
                return await self.threads.run(partial(self._count_large, asked), asked.size_bytes)
            return await self._count_small(asked)
        except CountError:
            return await self._estimate(asked)

    def _is_large(self, asked: Asked) -> bool:
        """Whether looking it through would hold others up."""
        if asked.size_bytes > LARGE_BYTES:
            return True
        known, items = self.vocabulary, as_list(asked.document.get(PROMPTS[asked.kind]))
        is_rendered = known is not None and known.template is not None and known.joints is None
        most = LARGE_RENDERED_ITEMS if is_rendered else LARGE_ITEMS
        return len(items) > most and not isinstance(items[0], int)  # token ids need no look

    async def _count_small(self, asked: Asked) -> Tally:
        """Count here, but for texts that take long. Raises: CountError."""
        given = self._read(asked)
        if self.vocabulary is None:
            return self._estimate_given(given)
        made = draft(self.vocabulary, given)
        if made.missing_chars <= self.vocabulary.tokenizer.inline_chars:
            return self._counted(self.vocabulary, given, made.finish())
        tokens = await self.threads.run(made.finish, asked.size_bytes)
        return self._counted(self.vocabulary, given, tokens)

    def _count_large(self, asked: Asked, until_s: float) -> Tally:
        """Read and count in one go; runs in a thread."""
        given = self._read(asked)
        if self.vocabulary is None or given.chars > MOST_CHARS:
            return self._estimate_given(given)
        try:
            tokens = draft(self.vocabulary, given).finish(until_s)
        except CountError:
            return self._estimate_given(given)
        return self._counted(self.vocabulary, given, tokens)

    async def _ask(self, asked: Asked, engine: EngineCounter) -> Tally:
        """Raises: CountError."""
        if asked.size_bytes > LONG_BYTES:
            raise CountError("too long to ask for: writing it down takes as long as counting")
        given = self._read(asked)
        tokens = await engine.count(asked.kind, asked.document, given, asked.pool, asked.served_as)
        return tally(given, tokens, "engine", is_right=True)

    async def _estimate(self, asked: Asked) -> Tally:
        """Go by the scripts; by the size as the last resort, when there is no time for more."""
        try:
            if not self._is_large(asked):
                return self._estimate_given(self._read(asked))
            # Not behind those that it may just have waited for in vain.
            return await self.threads.run(
                lambda _until_s: self._estimate_given(self._read(asked)), size_bytes=0
            )
        except CountError:
            tokens = max(1, asked.size_bytes // BYTES_PER_TOKEN)
            return Tally(tokens, "estimate", is_exact=False)

    def _read(self, asked: Asked) -> Given:
        """Read the body, and what its images count."""
        template = self.vocabulary.template if self.vocabulary else None
        later = template.takes_system_later if template else True
        given = read_given(asked.kind, asked.document, takes_system_later=later)
        if given.talk is not None:
            images = sum(count_image(self.images, picture) for picture in given.talk.pictures)
            # Sounds and films have no rule: each is taken for an image.
            given.media_tokens = images + FIXED_TOKENS * given.talk.media
        return given

    def _counted(self, vocabulary: Vocabulary, given: Given, tokens: int) -> Tally:
        has_form = given.talk is None or vocabulary.template is not None
        return tally(given, tokens, "tokenizer", is_right=has_form)

    def _estimate_given(self, given: Given) -> Tally:
        mix = scan(all_text(given), len(given.talk.messages) if given.talk else 0)
        found = tally(given, self.estimator.estimate(mix) + given.ids, "estimate", is_right=False)
        says_something = is_faithful(given) and given.cut_to is None and not given.ids
        return msgspec.structs.replace(found, mix=mix) if says_something else found


def tally(given: Given, tokens: int, counted_by: CountedBy, *, is_right: bool) -> Tally:
    """Add what is no text; say what it is worth."""
    if given.cut_to is not None:
        tokens = min(tokens, given.cut_to)
    return Tally(max(1, tokens + given.media_tokens), counted_by, is_right and is_faithful(given))


def is_faithful(given: Given) -> bool:
    """Whether all that the engine will see is known."""
    return given.is_faithful and (given.talk is None or given.talk.is_faithful)
