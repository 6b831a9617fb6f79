"""Rules and words as they are written, read from YAML.

A pattern for `words`, the view of what is said, is written in words:

    a b        one after the other
    a .. b     with up to three words between them, `...` with up to eight, within a sentence
    (a|b)? c   perhaps without the first
    <name>     any of the words that have this name
    ~          up to eight characters: for scripts that write no spaces

All else is a regular expression, as google-re2 has it. A pattern for `shown` is one as it stands.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

import msgspec
import yaml

from extproc.dialects.textual import Speaker
from extproc.safety.injection.normal import fold

HERE = Path(__file__).parent / "rules"
View = Literal["words", "shown"]
JOINT = '(?: ")? '
"""Between two words: perhaps a quotation begins or ends there."""
GAPS: Mapping[str, int] = MappingProxyType({"..": 3, "...": 8})
"""How many words may stand there."""
NAMED = re.compile(r"<([a-z]+)>")
SPEAKERS: tuple[Speaker, ...] = ("system", "user", "assistant", "tool", "definition", "other")
FILE = TypeVar("FILE", bound=msgspec.Struct)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that attacks say."""

    id: str
    score: float
    """What it says alone, between 0 and 1."""
    why: str
    patterns: Sequence[str]
    speakers: Sequence[Speaker] = SPEAKERS
    view: View | None = None
    needs: Sequence[str] = ()
    """Expressions that must all be there, for patterns for `shown` that are dear to look for."""
    family: str = ""


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that normalisation tells."""

    id: str
    signal: str
    least: int
    score: float
    why: str


class Cue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that speaks against an attack."""

    id: str
    factor: float
    patterns: Sequence[str]
    speakers: Sequence[Speaker] = SPEAKERS
    families: Sequence[str] = ()


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    words: Mapping[str, str]


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    family: str = ""
    languages: Sequence[str] = ()
    view: View = "words"
    rules: Sequence[Rule] = ()
    signals: Sequence[Signal] = ()
    cues: Sequence[Cue] = ()


class Shipped(msgspec.Struct, frozen=True):
    """All that is shipped."""

    version: str
    words: Mapping[str, str]
    rules: Sequence[Rule]
    signals: Sequence[Signal]
    cues: Sequence[Cue]


def read_shipped(directory: Path = HERE) -> Shipped:
    """Raises: OSError, ValueError."""
    words = read(directory / "words.yaml", Words)
    paths = [path for path in sorted(directory.glob("*.yaml")) if path.name != "words.yaml"]
    files = [read(path, RuleFile) for path in paths]
    return Shipped(
        version=words.version,
        words=words.words,
        rules=[
            msgspec.structs.replace(
                rule, family=rule.family or file.family, view=rule.view or file.view
            )
            for file in files
            for rule in file.rules
        ],
        signals=[signal for file in files for signal in file.signals],
        cues=[cue for file in files for cue in file.cues],
    )


def read(path: Path, kind: type[FILE]) -> FILE:
    return msgspec.convert(yaml.safe_load(path.read_text()), kind)


def write_expression(pattern: str, words: Mapping[str, str], *, squeezed: bool = False) -> str:
    """Write a pattern for `words` as a regular expression. `squeezed`: for texts whose words were
    written letter by letter.

    Raises:
        ValueError: It names words that nobody has.
    """
    joint = "" if squeezed else JOINT
    parts: list[str] = []
    tokens = split(pattern)
    for number, token in enumerate(tokens):
        if token in GAPS:
            parts.append("[^.]{0,24}" if squeezed else f'(?:[^ ."]+{JOINT}){{0,{GAPS[token]}}}')
            continue
        inner = expand(bare(token), words).replace(" ", joint)
        is_last = number == len(tokens) - 1
        if is_optional(token):
            parts.append(f"(?:{joint}{inner})?" if is_last else f"(?:{inner}{joint})?")
        else:
            parts.append(inner if is_last or ends(tokens[number + 1 :]) else inner + joint)
    expression = "".join(parts)
    if squeezed or not expression.isascii():
        return fold(expression)
    return rf"\b{expression}\b"


def is_optional(token: str) -> bool:
    return token.endswith(")?")


def bare(token: str) -> str:
    return token.removesuffix("?") if is_optional(token) else token


def ends(rest: Sequence[str]) -> bool:
    """Whether only one more stands there, and may be missing: it brings its own space."""
    return len(rest) == 1 and is_optional(rest[0])


def split(pattern: str, at: str = " ") -> list[str]:
    """Split at spaces outside of parentheses."""
    tokens, depth = [""], 0
    for char in pattern:
        depth += (char == "(") - (char == ")")
        if char == at and not depth:
            tokens.append("")
        else:
            tokens[-1] += char
    return tokens


def expand(token: str, words: Mapping[str, str]) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[1] not in words:
            raise ValueError(f"there are no words {found[1]!r}")
        return f"(?:{words[found[1]]})"

    plain = NAMED.sub(replace, token).replace("~", "[^.]{0,8}")
    return plain.replace("(", "(?:").replace("(?:?:", "(?:")
