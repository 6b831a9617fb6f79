"""Text -> how many tokens it is, with the vocabulary of a model in a file.

Both libraries release the GIL while they count, if called as here, and take it back to make their
result: 4 MB in one piece held up others for 15 ms (tiktoken) and 9 ms (tokenizers).
`Tokenizer.encode` of `tokenizers` keeps it all the time: 2.2 s.
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

import tiktoken
import tokenizers

from extproc.counting.patterns import PATTERNS, SPECIALS, cuts_at_words
from extproc.counting.pieces import CUT
from extproc.counting.specials import any_of
from extproc.errors import HeadgateError


class CountError(HeadgateError):
    """This cannot be counted; estimate it. The message never holds the text."""


class VocabularyError(HeadgateError, ValueError):
    """A file of a vocabulary or a chat template is not there, or makes no sense."""


class Tokenizer(Protocol):
    """One vocabulary. Synchronous; may be called from any thread, from several at once."""

    @property
    def specials(self) -> Sequence[str]:
        """Tokens that are found in a text before all else, wherever they stand."""
        ...

    @property
    def framing(self) -> int:
        """Tokens that an engine adds to a bare text: most vocabularies have none, or a first one."""
        ...

    @property
    def cuts(self) -> bool:
        """Whether a text can be counted in `pieces`, and the sum is the same."""
        ...

    @property
    def inline_chars(self) -> int:
        """What takes a millisecond or so, whatever it says: more belongs in a thread."""
        ...

    def count(self, text: str) -> int:
        """Count, specials included, `framing` not. Raises: CountError."""
        ...


class HfTokenizer:
    """A `tokenizer.json` as Hugging Face's libraries write it."""

    inline_chars = 4_096
    """3.5-5 MB/s of English, 4 Mchar/s of Chinese, 8 Mchar/s at worst of what else was tried."""

    def __init__(self, path: Path) -> None:
        """Raises: VocabularyError."""
        raw = read(path)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(raw.decode())
        except Exception as exc:  # noqa: BLE001 - the library raises bare `Exception`
            raise VocabularyError(f"{path}: no tokenizer: {str(exc)[:200]}") from None
        # Training may have left both in the file; engines count without.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        # The library gives its tokens no type.
        added = cast(
            "Mapping[int, _AddedToken]", self._tokenizer.get_added_tokens_decoder()
        ).values()
        # One that may only stand alone, or is looked for after changes to the text, is no fixed point.
        self.specials = tuple(t.content for t in added if not t.single_word and not t.normalized)
        self.framing = self._length("x", framed=True) - self._length("x", framed=False)
        self.cuts = cuts_at_words(raw) and not any(CUT.search(token.content) for token in added)

    def count(self, text: str) -> int:
        return self._length(text, framed=False)

    def encode(self, text: str, *, framed: bool = False) -> Sequence[int]:
        """Find the ids themselves; `framed` as engines frame a bare text. Raises: CountError."""
        try:
            (found,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=framed)
        except BaseException as exc:  # noqa: BLE001 - see `as_count_error`
            raise as_count_error(exc) from None
        return found.ids

    def _length(self, text: str, *, framed: bool) -> int:
        try:
            (found,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=framed)
        except BaseException as exc:  # noqa: BLE001 - see `as_count_error`
            raise as_count_error(exc) from None
        return len(found)


class _AddedToken(Protocol):
    content: str
    single_word: bool
    normalized: bool


class TiktokenTokenizer:
    """A file of ranks in tiktoken's format: a token in base64 and its rank on every line."""

    inline_chars = 8_192
    """25-30 MB/s of English, 7 Mchar/s at worst (one long word of random letters)."""
    framing = 0

    def __init__(
        self, path: Path, pattern: str = "", regex: str = "", specials: Collection[str] = ()
    ) -> None:
        """`pattern` is a name in `PATTERNS`; `regex` stands for one that has no name there.

        Raises:
            VocabularyError: The file or the regular expression makes no sense.
        """
        self.specials = tuple(specials) or SPECIALS.get(pattern, ())
        self._special = any_of(self.specials)
        self.cuts = not regex and not any(CUT.search(each) for each in self.specials)
        ranks = read_ranks(path)
        try:
            self._encoding = tiktoken.Encoding(
                path.name,
                pat_str=regex or PATTERNS[pattern],
                mergeable_ranks=ranks,
                special_tokens={},
            )
            self.count("probe")
        except (CountError, ValueError, KeyError) as exc:
            raise VocabularyError(f"{path}: no tokenizer: {str(exc)[:200]}") from None

    def count(self, text: str) -> int:
        """Special tokens are found here: it takes half the time of a short text to let tiktoken look
        for them."""
        parts = self._special.split(text) if self._special else [text]
        try:
            found = [len(self._encoding.encode_ordinary(part)) for part in parts if part]
        except BaseException as exc:  # noqa: BLE001 - see `as_count_error`
            raise as_count_error(exc) from None
        return len(parts) - 1 + sum(found)


def as_count_error(exc: BaseException) -> BaseException:
    """Take what a compiled library raised for what it is. A panic in Rust is no `Exception`: left
    alone it would pass all nets of ours. Both libraries have some, for monstrous texts."""
    is_panic = type(exc).__name__ == "PanicException"
    if isinstance(exc, Exception) or is_panic:
        return CountError(f"the tokenizer failed: {type(exc).__name__}")
    return exc


def read(path: Path) -> bytes:
    """Raises: VocabularyError."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise VocabularyError(f"{path}: {exc.strerror}") from None


def read_ranks(path: Path) -> dict[bytes, int]:
    """Read ranks; tiktoken's own reader keeps copies of what it reads in a temporary directory.

    Raises:
        VocabularyError: It is something else.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(read(path).splitlines(), start=1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            message = f"{path}: line {number} is not a token in base64 and its rank"
            raise VocabularyError(message) from None
    if not ranks:
        raise VocabularyError(f"{path}: no tokens there")
    return ranks
