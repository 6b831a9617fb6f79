"""A model's tokenizer together with its chat template: loaded once, kept while a policy uses it."""

import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from extproc.counting.joints import Joints, find_joints
from extproc.counting.remembered import Remembered
from extproc.counting.specials import any_of, is_clean
from extproc.counting.template import Template
from extproc.counting.tokenizer import (
    HfTokenizer,
    TiktokenTokenizer,
    Tokenizer,
    VocabularyError,
    read,
)

Overhead = tuple[int, int]
"""Tokens around a request, and around each message in it."""
CHATML: Overhead = (3, 5)
"""`<|im_start|>assistant` and a line end; `<|im_start|>user`, a line end, `<|im_end|>`, a line end. The
commonest form; used where there is neither a template nor numbers."""
CONFIG, JINJA = "tokenizer_config.json", "chat_template.jinja"
"""What stands beside a `tokenizer.json`, and has the chat template; the second one goes first."""
WORDS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a vocabulary is, and what is known of its chat template. Exactly one of the files."""

    file: Path | None = None
    """A `tokenizer.json`."""
    tiktoken: Path | None = None
    """A file of ranks, with the name of a pattern or with a regular expression."""
    pattern: str = ""
    regex: str = ""
    specials: tuple[str, ...] = ()
    chat_template: Path | None = None
    """None: as found beside `file`."""
    overhead: Overhead | None = None
    """Instead of a template."""

    @property
    def files(self) -> Sequence[Path]:
        """All that may be read."""
        found = [each for each in (self.file, self.tiktoken, self.chat_template) if each]
        if self.file:
            found += [self.file.with_name(JINJA), self.file.with_name(CONFIG)]
        return found


class Vocabulary:
    """Thread-safe, shared by all policy versions and models that name the same files."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: Template | None = None,
        words: Mapping[str, str] | None = None,
        overhead: Overhead | None = None,
    ) -> None:
        """Takes some tenths of a second when there is a template. Raises: CountError."""
        self.tokenizer = tokenizer
        self.template = template
        self.overhead = overhead or CHATML
        self.remembered = Remembered()
        self.joints: Joints | None = find_joints(template, tokenizer) if template else None
        used = template.text + "".join((words or {}).values()) if template else ""
        self._holds = any_of(
            [s for s in tokenizer.specials if s in used and is_clean(s, tokenizer.specials)]
        )

    def find_holds(self, text: str) -> Iterator[re.Match[str]]:
        """Find the special tokens that the template uses, in a prompt that it made."""
        return self._holds.finditer(text) if self._holds else iter(())


class Vocabularies:
    """All that are in use. A file that did not change is not read again when a policy is reloaded."""

    def __init__(self) -> None:
        self._loaded: weakref.WeakValueDictionary[object, Vocabulary] = (
            weakref.WeakValueDictionary()
        )

    def load(self, source: Source) -> Vocabulary:
        """Read it, or find it. Takes up to a second: not for the event loop.

        Raises:
            VocabularyError: A file is missing or makes no sense.
        """
        key = (source, tuple(stamp(path) for path in source.files))
        found = self._loaded.get(key)
        if found is None:
            found = self._loaded[key] = load(source)
        return found


def stamp(path: Path) -> tuple[int, int]:
    """Tell one state of a file from another; a missing one is a state too."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def load(source: Source) -> Vocabulary:
    """Raises: VocabularyError."""
    if source.file:
        tokenizer: Tokenizer = HfTokenizer(source.file)
    elif source.tiktoken:
        tokenizer = TiktokenTokenizer(
            source.tiktoken, source.pattern, source.regex, source.specials
        )
    else:
        raise VocabularyError("there is no file")
    config = read_config(source.file.with_name(CONFIG) if source.file else None)
    words = read_words(config)
    if source.overhead:
        return Vocabulary(tokenizer, overhead=source.overhead)
    path, text = find_template(source, config)
    if not text:
        return Vocabulary(tokenizer)
    try:
        template = Template(text, words)
    except VocabularyError as exc:
        raise VocabularyError(f"{path}: no chat template: {exc}") from None
    return Vocabulary(tokenizer, template, words)


def find_template(source: Source, config: Mapping[str, object]) -> tuple[Path | None, str]:
    """Look for it: where the policy says, beside the tokenizer, in the tokenizer's configuration."""
    if source.chat_template:
        return source.chat_template, decode(source.chat_template)
    if source.file is None:
        return None, ""
    beside = source.file.with_name(JINJA)
    if beside.exists():
        return beside, decode(beside)
    given = config.get("chat_template")
    if isinstance(given, list):  # several, by name
        named = cast("list[dict[str, str]]", given)
        given = next((each["template"] for each in named if each.get("name") == "default"), "")
    return source.file.with_name(CONFIG), given if isinstance(given, str) else ""


def decode(path: Path) -> str:
    """Raises: VocabularyError."""
    try:
        return read(path).decode()
    except UnicodeDecodeError:
        raise VocabularyError(f"{path}: not UTF-8") from None


def read_config(path: Path | None) -> Mapping[str, object]:
    """Read a tokenizer's configuration; there need not be one. Raises: VocabularyError."""
    if path is None or not path.exists():
        return {}
    try:
        return msgspec.json.decode(read(path), type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise VocabularyError(f"{path}: not a JSON object: {exc}") from None


def read_words(config: Mapping[str, object]) -> Mapping[str, str]:
    """Find the special tokens that templates know by name: a text each, or an object with one."""
    words: dict[str, str] = {}
    for name in WORDS:
        given = config.get(name)
        if isinstance(given, dict):
            given = cast("dict[str, object]", given).get("content")
        if isinstance(given, str):
            words[name] = given
    return words
