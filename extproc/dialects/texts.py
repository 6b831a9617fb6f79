r"""Every text of a request that anybody beyond the gateway would read, found; `putback.py` changes them.

It fails closed. Members of the dialects that are known to hold no text are passed over, one by one and
by name; whatever else there is counts as text, members that nobody knows with all that is below them.

What is no plain text:

* Arguments of tool calls are JSON inside a text. A place steps inside by `JSON`, so no `\u0040` hides
  anything. So it does for other texts that are JSON and hold such escapes (`inner.py`).
* Numbers of seven digits or more count as text, but for those that are known to be numbers (`seed`): a
  phone number often is one.
* Names of members count where they are free in form; a place says so by `KEY`.
* Base64 in `data:` URLs and in parts that say so is none; `http` URLs are, spoken by nobody.
* A prompt of token ids has no text that could be read: `find_unreadable` names it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import msgspec

from extproc.dialects.body import Document
from extproc.dialects.inner import read_inner, unescape
from extproc.dialects.lengths import PROMPTS, as_list
from extproc.dialects.place import JSON, KEY, Place, write_place
from extproc.dialects.textual import (
    ROLES,
    SCHEMA,
    SHAPE,
    SPEAKERS,
    How,
    Speaker,
    speaker_of,
)
from extproc.request import Kind

MOST_DEPTH = 48
"""Of a place. Tools' schemas reach some fifteen; msgspec would bear hundreds."""
MOST_STEPS = 4_000_000
"""Of all places together: 32 MiB. A conversation of a megabyte has some ten thousand."""
LEAST_DIGITS = 7
"""Of a number that counts as text: the shortest phone number that anybody looks for."""
WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9]|[._:/-](?=[A-Za-z])|_){0,127}")
LONG_DIGITS = re.compile(r"[0-9]{7}")
BASE64_URL = re.compile(r"data:[^,]{0,255};base64,", re.IGNORECASE)
SHORT_NUMBER = re.compile(r"[0-9]{1,6}")


class TangledError(ValueError):
    """It is nested deeper, or has more texts, than can be looked through."""


class Text(msgspec.Struct, frozen=True):
    place: Place
    speaker: Speaker
    text: str

    def __repr__(self) -> str:
        """Without what was said."""
        return f"Text({write_place(self.place)}, {self.speaker})"


def find_texts(kind: Kind, document: Document) -> list[Text]:
    """Find all text, in the order of the document. Linear: 2 us for a message, 50 ms for a megabyte of
    small members.

    Raises:
        TangledError: There is too much of it.
    """
    finder = Finder()
    for name, value in document.items():
        if name == "model":  # of a catalog, and looked up there
            continue
        speaker = SPEAKERS.get(name, "other")
        if name == PROMPTS.get(kind):
            speaker = "user"
        finder.find_member((), name, value, speaker, document)
    return finder.found


class Finder:
    """Walks through a document without recursion: nesting is the client's choice."""

    def __init__(self, most_steps: int = MOST_STEPS) -> None:
        self.found: list[Text] = []
        self._left = most_steps

    def find_member(
        self, at: Place, name: str, value: object, speaker: Speaker, above: Mapping[str, object]
    ) -> None:
        """Walk through one member, and through its name if nobody knows that."""
        how = SHAPE.get(name)
        if how is None:
            self._add((*at, KEY, name), speaker, name)
        self._walk([((*at, name), value, speaker, how_of(name, how, above))])

    def _walk(self, left: list["Part"]) -> None:
        while left:
            place, value, speaker, how = left.pop()
            if how == "skip":
                continue
            if isinstance(value, str):
                self._add_text(place, speaker, value, how, left)
            elif isinstance(value, dict):
                if how == "shape" and self._add_plain(place, cast("dict[str, object]", value)):
                    continue
                self._check(place)
                members = cast("dict[str, object]", value)
                left += reversed(list(self._members(place, members, speaker, how)))
            elif isinstance(value, list):
                self._check(place)
                left += reversed(list_items(place, cast("list[object]", value), speaker, how))
            elif how != "number" and (digits := write_number(value)):
                self._add(place, speaker, digits)

    def _add_plain(self, place: Place, message: Mapping[str, object]) -> bool:
        """Read a message that is a role and a text, as most are, at a fifth of the cost."""
        content, role = message.get("content"), message.get("role")
        if len(message) > 2 or type(content) is not str or type(role) is not str:
            return False
        if role not in ROLES or "\\u" in content:
            return False
        self._add((*place, "content"), ROLES[role], content)
        return True

    def _members(
        self, at: Place, members: Mapping[str, object], speaker: Speaker, how: How
    ) -> Sequence["Part"]:
        """Say how each member is to be read. Names of members are added at once."""
        if how in ("free", "json", "input"):
            for name in members:
                self._add((*at, KEY, name), speaker, name)
            return [((*at, name), value, speaker, "free") for name, value in members.items()]
        if how == "schema":
            return self._schema(at, members, speaker)
        if how == "number":
            for name in members:
                if not SHORT_NUMBER.fullmatch(name):
                    self._add((*at, KEY, name), speaker, name)
            return [((*at, name), value, speaker, how) for name, value in members.items()]
        speaker = speaker_of(members, speaker)
        found: list[Part] = []
        for name, value in members.items():
            known = SHAPE.get(name)
            if known is None:
                self._add((*at, KEY, name), speaker, name)
            found.append(((*at, name), value, speaker, how_of(name, known, members)))
        return found

    def _schema(
        self, at: Place, members: Mapping[str, object], speaker: Speaker
    ) -> Sequence["Part"]:
        """Read a JSON schema: what it describes may have any name."""
        found: list[Part] = []
        for name, value in members.items():
            if name not in SCHEMA:
                self._add((*at, KEY, name), speaker, name)
            found.append(((*at, name), value, speaker, SCHEMA.get(name, "schema")))
        return found

    def _add_text(
        self, place: Place, speaker: Speaker, text: str, how: How, left: list["Part"]
    ) -> None:
        if how == "word" and is_word(text):
            return
        if how == "url":
            if BASE64_URL.match(text):
                return
            speaker = "other"
        if how == "json" or ("\\u" in text and text.lstrip()[:1] in ("{", "[")):
            try:
                inner = read_inner(text)
            except ValueError:
                self._add(place, speaker, unescape(text))
            else:
                left.append(((*place, JSON), inner, speaker, "free"))
            return
        self._add(place, speaker, text)

    def _add(self, place: Place, speaker: Speaker, text: str) -> None:
        if text:
            self._check(place)
            self.found.append(Text(place, speaker, text))

    def _check(self, place: Place) -> None:
        self._left -= len(place)
        if len(place) > MOST_DEPTH or self._left < 0:
            raise TangledError("it is nested too deeply, or has too many texts")


Part: TypeAlias = tuple[Place, object, Speaker, How]


def list_items(at: Place, items: Sequence[object], speaker: Speaker, how: How) -> list[Part]:
    """Parts of an `input` or an `output` have a known shape; of what is in arguments nothing is known."""
    inner: How = "shape" if how == "input" else "free" if how == "json" else how
    return [((*at, index), item, speaker, inner) for index, item in enumerate(items)]


def how_of(name: str, how: How | None, above: Mapping[str, object]) -> How:
    """Say how a member of a known shape is to be read."""
    if name == "data" and (
        above.get("type") in ("base64", "redacted_thinking")
        or ("format" in above and "type" not in above)  # sound: `input_audio`
    ):
        return "skip"
    return how or "free"


def is_word(text: str) -> bool:
    """Whether it can only be a name that programs use: ASCII, and without a long number."""
    return WORD.fullmatch(text) is not None and LONG_DIGITS.search(text) is None


def write_number(value: object) -> str:
    """Write a number that is long enough to say who somebody is; else nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, float):
        if not value.is_integer():
            return repr(value) if abs(value) >= 10 ** (LEAST_DIGITS - 1) else ""
        value = int(value)
    return str(value) if abs(value) >= 10 ** (LEAST_DIGITS - 1) else ""


def find_unreadable(kind: Kind, document: Document) -> str | None:
    """Name the member that is a prompt nobody can read: token ids, or what a model made of them."""
    for name in ("prompt_embeds", "prompt_token_ids"):
        if document.get(name):
            return name
    name = PROMPTS.get(kind, "")
    if kind is Kind.CHAT:
        return find_embeds(as_list(document.get(name)), name)
    if kind not in (Kind.COMPLETIONS, Kind.EMBEDDINGS):
        return None
    for index, item in enumerate(as_list(document.get(name))):
        if isinstance(item, int):
            return name
        if isinstance(item, list) and item:
            return f"{name}[{index}]"
    return None


def find_embeds(messages: Sequence[object], name: str) -> str | None:
    """Name a part that is what a model made of a text: vLLM puts it into the prompt as it is."""
    for index, message in enumerate(messages):
        for number, part in enumerate(as_list(member(message, "content"))):
            if member(part, "type") == "prompt_embeds":
                return f"{name}[{index}].content[{number}]"
    return None


def member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None
