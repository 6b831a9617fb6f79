"""How a model's tokens are counted: where its vocabulary is, and what its images cost."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from extproc.counting.images import ImageRule
from extproc.counting.tokenizer import VocabularyError
from extproc.counting.vocabulary import Source, Vocabularies, Vocabulary
from extproc.errors import PolicyError
from extproc.policy.base import FullPath, Place, Strict

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Tokens = Annotated[int, Field(ge=0, le=100_000)]
DEADLINE_MS = 100


class OverheadPolicy(Strict):
    """Tokens around texts, where there is no chat template to tell."""

    request: Tokens  # once
    message: Tokens  # around each


class TokenizerPolicy(Strict):
    """Exactly one of file, tiktoken and engine."""

    file: FullPath | None = None  # a tokenizer.json; the chat template beside it is used as well
    tiktoken: FullPath | None = None  # a file of ranks
    pattern: Literal["cl100k", "o200k", "qwen", "qwen3.5"] | None = None  # of the ranks
    regex: Text | None = None  # instead of a pattern's name
    special_tokens: tuple[Text, ...] = ()  # of the ranks; none: those of the pattern
    engine: Literal[True] | None = None  # ask the engine, once for each request
    deadline_ms: Annotated[int, Field(ge=1, le=2000)] = DEADLINE_MS  # for its answer
    chat_template: FullPath | None = None  # Jinja; none: as found beside the file
    overhead: OverheadPolicy | None = None  # instead of a template
    _vocabulary: Vocabulary | None = PrivateAttr(None)

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if sum(each is not None for each in (self.file, self.tiktoken, self.engine)) != 1:
            raise ValueError("give exactly one of file, tiktoken and engine")
        if (self.tiktoken is not None) != ((self.pattern is None) != (self.regex is None)):
            raise ValueError("ranks go with either pattern or regex, and nothing else does")
        if self.special_tokens and self.tiktoken is None:
            raise ValueError("special_tokens are for ranks only")
        if self.chat_template is not None and self.overhead is not None:
            raise ValueError("give a chat_template or an overhead, not both")
        if self.engine and (self.chat_template or self.overhead):
            raise ValueError("the engine knows its chat template itself")
        return self

    def source(self) -> Source:
        """Say what to load."""
        overhead = (self.overhead.request, self.overhead.message) if self.overhead else None
        return Source(
            file=self.file,
            tiktoken=self.tiktoken,
            pattern=self.pattern or "",
            regex=self.regex or "",
            specials=self.special_tokens,
            chat_template=self.chat_template,
            overhead=overhead,
        )

    def found(self, vocabulary: Vocabulary) -> None:
        """Keep what was loaded. `load_tokenizers` calls it once, while the policy loads."""
        self._vocabulary = vocabulary

    @property
    def vocabulary(self) -> Vocabulary | None:
        """None: the engine is asked.

        Raises:
            PolicyError: The policy was loaded without its tokenizers, to be looked at only.
        """
        if self._vocabulary is None and not self.engine:
            raise PolicyError("the policy was loaded without its tokenizers")
        return self._vocabulary


class ImagePolicy(Strict):
    """What an image counts: a fixed number, or one for each tile, as OpenAI's models do."""

    tokens: Annotated[int, Field(ge=1, le=100_000)] | None = None  # fixed
    base: Tokens = 0  # else: once for each image
    tile: Tokens = 0  # and for each tile of it, once it is shrunk to 2048 by 768 or less
    tile_px: Annotated[int, Field(ge=14, le=2048)] = 512  # side of a tile

    @model_validator(mode="after")
    def check_one(self) -> Self:
        if (self.tokens is None) != (self.base + self.tile > 0):
            raise ValueError("give either tokens, or base and tile")
        return self

    def rule(self) -> ImageRule:
        return ImageRule(self.tokens or 0, self.base, self.tile, self.tile_px)


def load_tokenizers(
    given: Sequence[TokenizerPolicy | None], vocabularies: Vocabularies
) -> Iterable[tuple[Place, str]]:
    """Load what models count with, `given` in the order of the policy's models, and find what cannot
    be loaded. Takes up to a second for each file that is new: not for the event loop."""
    for index, each in enumerate(given):
        if each is None or each.engine:
            continue
        try:
            each.found(vocabularies.load(each.source()))
        except VocabularyError as exc:
            member = "file" if each.file else "tiktoken"
            yield ("models", index, "tokenizer", member), str(exc)
