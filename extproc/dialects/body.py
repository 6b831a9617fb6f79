"""What all dialects share: bytes -> a JSON object -> a checked shape, or a refusal that names the field.

Members we know are checked strictly, so that a mistake is answered here with its name, the same for
every engine. Members we do not know pass: engines have their own extensions.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from extproc.decision import Deny
from extproc.errors import Reason
from extproc.request import Prompt

Document = Mapping[str, Any]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""Engines keep counts in 32 bits; what is larger is a mistake."""
Temperature = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(gt=0, le=1)]

MEDIA_URL = re.compile(r"(https?|data):", re.IGNORECASE)
"""Where engines may fetch media from. `file:` would read their own disk."""


BETWEEN_ENGINES = (
    *("kv_transfer_params", "ec_transfer_params"),
    *("bootstrap_host", "bootstrap_port", "bootstrap_room"),
)
"""By these, engines that share the work on a prompt tell each other where it is: vLLM, then SGLang. A
client could have an engine call any host, read what another tenant's prompt left behind, or put a
prompt in place of the one that was looked through. Who computes where is said behind us."""
ARGUMENTS = "vllm_xargs"
"""vLLM adds its members to the first two."""


class MemberError(ValueError):
    """A member of the object that is being checked is wrong in a way that its type does not tell."""

    def __init__(self, member: str, said: str) -> None:
        super().__init__(said)
        self.member = member


class Shape(msgspec.Struct, kw_only=True):
    """What every body has."""

    model: Name

    def as_prompt(self, document: Document) -> Prompt:
        """Tell what filters need to know of this body."""
        return Prompt(document, self.model)


ShapeT = TypeVar("ShapeT", bound=Shape)


def need(shape: msgspec.Struct, *members: str) -> None:
    """See that these optional members are there after all. Raises: MemberError."""
    for member in members:
        if getattr(shape, member) is None:
            raise MemberError(member, "is required")


def check_url(url: str, member: str) -> None:
    """Raises: MemberError."""
    if not MEDIA_URL.match(url):
        raise MemberError(member, "must be an http, https or data URL")


def convert(raw: bytes, shape: type[ShapeT]) -> Prompt | Deny:
    """Parse a body once. About 10 us for 4 kB, 20 when every message is a list of parts, and 5 ms
    for each megabyte."""
    document = decode(raw)
    if isinstance(document, Deny):
        return document
    if name := find_planted(document):
        return bad(f"'{name}' is for engines to tell each other: clients may not set it.", name)
    try:
        return msgspec.convert(document, shape).as_prompt(document)
    except msgspec.ValidationError as exc:
        return invalid(exc)
    except RecursionError:
        return bad("The request body is nested too deeply.")


read_object = msgspec.json.Decoder(dict[str, Any]).decode
"""Made once: half of a small body's time is otherwise spent on looking at the type."""


def decode(raw: bytes) -> dict[str, Any] | Deny:
    """Parse JSON, which must be an object. Python's recursion limit bounds the nesting."""
    if not raw:
        return bad("The request body is empty; a JSON object was expected.")
    # Counting takes 2 us for 4 kB: shorter bodies cannot have so many.
    if len(raw) > MAX_BRACKETS and raw.count(b"[") + raw.count(b"{") > MAX_BRACKETS:
        return bad("The request body has too many arrays and objects.")
    try:
        return read_object(raw)
    except RecursionError:
        return bad("The request body is nested too deeply.")
    except msgspec.ValidationError as exc:
        # 1e400, or an integer of thousands of digits.
        has_monster = "out of range" in str(exc)
        wrong = "has a number that is out of range" if has_monster else "must be a JSON object"
        return bad(f"The request body {wrong}.")
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return bad(f"The request body is not valid JSON: {str(exc).removesuffix('.')}.")


def find_planted(document: Document) -> str | None:
    """Name a member that only engines may set. Costs 0.4 us."""
    for name in BETWEEN_ENGINES:
        if document.get(name) is not None:
            return name
    more = document.get(ARGUMENTS)
    is_planted = isinstance(more, dict) and any(name in more for name in BETWEEN_ENGINES)
    return ARGUMENTS if is_planted else None


def bad(message: str, param: str | None = None) -> Deny:
    return Deny(Reason.INVALID_REQUEST, message, param)


PLACE = re.compile(r" - at `(key in )?\$\.?(?P<path>[^`]*)`$")
MISSING = re.compile(r"Object missing required field `(?P<name>[^`]*)`")
SAID_LENGTH = 200
"""What is repeated of a wrong value: enough to recognise it."""
MAX_BRACKETS = 500_000
"""Above this a body is refused unread. Each array or object costs memory and time out of all
proportion to its two bytes: 16 MiB of `[[1],[1],...` took 400 MiB and half a second. Brackets in
texts count too: at 16 MiB the bound is one in 33 characters, and this project's
own source has one in 220."""


def invalid(wrong: msgspec.ValidationError) -> Deny:
    """Turn msgspec's words into a refusal that names the field.

    "Expected `int`, got `str` - at `$.messages[0].n`" has the field in its tail; one that is
    missing, or that we found wrong ourselves, is relative to that tail.
    """
    said = str(wrong)
    place = PLACE.search(said)
    path = place["path"] if place else ""
    if isinstance(wrong.__cause__, MemberError):
        path = f"{path}.{wrong.__cause__.member}".removeprefix(".")
        return bad(f"'{path}' {wrong.__cause__}.", path)
    if missing := MISSING.match(said):
        path = f"{path}.{missing['name']}".removeprefix(".")
        return bad(f"'{path}' is required.", path)
    sentence = (said[: place.start()] if place else said).replace("`", "'")
    return bad(f"'{path}': {sentence[:1].lower()}{sentence[1:SAID_LENGTH]}.", path or None)
