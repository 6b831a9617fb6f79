"""What becomes of what was found in a request: pure decisions, text by text."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from extproc.decision import Deny
from extproc.dialects.body import Document
from extproc.dialects.place import KEY, Place, write_place
from extproc.dialects.putback import with_texts
from extproc.dialects.texts import Text
from extproc.errors import Reason
from extproc.safety.pii.finding import Finding, resolve
from extproc.safety.pii.mask import Masker, name_of, replace
from extproc.safety.pii.patterns import LOOKALIKE, USUAL
from extproc.safety.pii.rules import STRENGTH, Action, Choice

Counts = Mapping[tuple[str, Action], int]
"""Values, by their type and what is done with them."""

CONTENT = frozenset({"content", "text", "prompt", "input", "thinking"})
"""Members whose names say nothing of what a text is."""


class Found(msgspec.Struct, frozen=True):
    """One text with what counts in it."""

    text: Text
    findings: Sequence[Finding]


class Treated(msgspec.Struct, frozen=True):
    """What becomes of a request."""

    counts: Counts = msgspec.field(default_factory=dict[tuple[str, Action], int])
    denied: Deny | None = None
    document: Document | None = None
    """With other texts in it; none: it stays as it is."""


LEAST_REPEATED = 4
"""Characters of a value that is looked for again; of names, two of Chinese say little."""
MOST_REPEATED = 200
"""Of them: each takes 0.1 ms for a megabyte."""


def treat(
    texts: Sequence[Text],
    found: Sequence[Sequence[Finding]],
    choice: Choice,
    masker: Masker,
    document: Document,
) -> Treated:
    """Judge all that was found. 15 us for each value, and some seconds for as many as there may be."""
    settled = (
        Found(text, settle(text, each, choice)) for text, each in zip(texts, found, strict=True)
    )
    kept = spread([each for each in settled if each.findings], texts, choice)
    counts = count(kept, choice)
    if denied := refuse(kept, choice):
        return Treated(counts, denied)
    masks = any(action == "mask" for _, action in counts)
    changed: dict[Place, str] = {}
    for each in kept if counts else ():
        text = change(each, choice, masker, masks=masks)
        if text != each.text.text:
            changed[each.text.place] = text
    return Treated(counts, None, with_texts(document, changed) if changed else None)


def write_counts(counts: Counts) -> str:
    """Write what stands in `x-headgate-pii`: `masked=3; tagged=1`."""
    total: dict[str, int] = {}
    for (_, action), count in counts.items():
        total[SAID[action]] = total.get(SAID[action], 0) + count
    return "; ".join(f"{said}={total[said]}" for said in SAID.values() if said in total)


SAID: Mapping[Action, str] = {
    "mask": "masked",
    "hash": "hashed",
    "redact": "redacted",
    "tag": "tagged",
    "deny": "denied",
}


def member_of(place: Place) -> str:
    """Name the member that a text stands in, where that may tell what it is."""
    last = place[-1] if place else ""
    if not isinstance(last, str) or last in CONTENT or place[-2:-1] == (KEY,):
        return ""
    return last


def settle(text: Text, findings: Sequence[Finding], choice: Choice) -> Sequence[Finding]:
    """Keep what a rule names, and of what overlaps the better. What looks like a placeholder stays."""
    if not findings:
        return ()
    speaker = text.speaker
    kept = [
        each for each in findings if each.type == LOOKALIKE or choice.action(each.type, speaker)
    ]

    def strength(finding: Finding) -> int:
        action = choice.action(finding.type, speaker)
        return STRENGTH[action] if action and finding.type != LOOKALIKE else 1

    return resolve(kept, strength)


def spread(found: Sequence[Found], texts: Sequence[Text], choice: Choice) -> Sequence[Found]:
    """Find again, wherever else they stand, values that were found by a word beside them, or by name: a
    date of birth that is repeated has no such word any more."""
    values = dict[str, str]()
    for each in found:
        for finding in each.findings:
            value = each.text.text[finding.start : finding.end]
            if finding.rank < USUAL and len(value) >= LEAST_REPEATED:
                values.setdefault(value, finding.type)
    if not values:
        return found
    known = {each.text.place: each for each in found}
    made: list[Found] = []
    for text in texts:
        own = known.get(text.place, Found(text, ()))
        more = [each for each in repeated(text, values) if choice.action(each.type, text.speaker)]
        made.append(Found(text, settle(text, [*own.findings, *more], choice)) if more else own)
    return [each for each in made if each.findings]


def repeated(text: Text, values: Mapping[str, str]) -> Iterator[Finding]:
    """Find these values in a text, where they stand alone."""
    for value, kind in islice(values.items(), MOST_REPEATED):
        at = text.text.find(value)
        while at >= 0:
            end = at + len(value)
            around = text.text[max(0, at - 1) : at] + text.text[end : end + 1]
            if not any(char.isascii() and char.isalnum() for char in around):
                yield Finding(kind, at, end)
            at = text.text.find(value, end)


def count(found: Sequence[Found], choice: Choice) -> Counts:
    counts: dict[tuple[str, Action], int] = {}
    for each in found:
        for finding in each.findings:
            action = choice.action(finding.type, each.text.speaker)
            if action and finding.type != LOOKALIKE:
                key = finding.type, action
                counts[key] = counts.get(key, 0) + 1
    return counts


def refuse(found: Sequence[Found], choice: Choice) -> Deny | None:
    """Refuse for the first value that must not be there: by its type and place, never the value."""
    for each in found:
        for finding in each.findings:
            if (
                choice.action(finding.type, each.text.speaker) == "deny"
                and finding.type != LOOKALIKE
            ):
                where = write_place(each.text.place)
                message = f"'{where}' holds personal data that must not be sent: {finding.type}."
                return Deny(Reason.PERSONAL, message, where)
    return None


def change(found: Found, choice: Choice, masker: Masker, *, masks: bool) -> str:
    """Write a text anew. What looks like a placeholder is masked wherever anything is: what the
    answer then has of that form is ours."""
    speaker = found.text.speaker

    def put(kind: str, value: str) -> str:
        if kind == LOOKALIKE:
            return masker.mask(kind, value) if masks else value
        match choice.action(kind, speaker):
            case "mask":
                return masker.mask(kind, value)
            case "hash":
                return masker.hash(kind, value)
            case "redact":
                return f"[{name_of(kind)}]"
            case _:
                return value

    return replace(found.text.text, found.findings, put)
