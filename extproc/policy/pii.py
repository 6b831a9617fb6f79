"""Personal data: which values are masked, taken out or refused, of whom, in whose words."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, StringConstraints

from extproc.dialects.textual import Speaker
from extproc.policy.base import Name, Place, Secret, Strict, Url, Word
from extproc.safety.pii.engine import shipped
from extproc.safety.pii.own import (
    MOST_EXPRESSION,
    MOST_PATTERNS,
    MOST_WORDS,
    Own,
    OwnError,
    check_expression,
    check_word,
)
from extproc.safety.pii.rules import ALL, NAMED, TYPES, Action, Rule
from extproc.safety.scope import check_scope

OnFault = Literal["deny", "continue"]
TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,22}[a-z]$")]
"""Its capitals stand in placeholders, so it has no digits."""


def sound(expression: str) -> str:
    try:
        check_expression(expression)
    except OwnError as exc:
        raise ValueError(str(exc)) from None
    return expression


def sayable(word: str) -> str:
    try:
        check_word(word)
    except OwnError as exc:
        raise ValueError(f"{word[:20]!r} {exc}") from None
    return word


class PiiPatternPolicy(Strict):
    """Values of your own, by their form. The first group, if there is one, is the value."""

    name: TypeName  # what rules, placeholders and metrics call this type
    expression: Annotated[
        str, Field(min_length=1, max_length=MOST_EXPRESSION), AfterValidator(sound)
    ]  # in re2's syntax


class PiiDictionaryPolicy(Strict):
    """Values of your own, by a list of them."""

    name: TypeName
    words: Annotated[
        tuple[Annotated[str, AfterValidator(sayable)], ...], Field(min_length=1)
    ]  # each stands alone: `Ann` is not found in `Annual`
    minds_case: bool = False  # of ASCII letters


class DetectorPolicy(Strict):
    """A service that finds names, which no pattern can: `docs/pii.md` says what it is asked."""

    url: Url
    types: Annotated[tuple[TypeName, ...], Field(min_length=1)] = ("person", "organization")
    timeout_ms: Annotated[int, Field(ge=1, le=4000)] = 300
    token: Secret | None = None  # sent as a bearer token
    on_fault: OnFault = "deny"  # when it does not answer in time: deny, or continue without names


class PiiRulePolicy(Strict):
    """What is done with values. Of several rules that are for a request, the first that names a type
    counts for it."""

    tenants: tuple[Word, ...] = ()  # for whom it is; none: everybody
    models: tuple[Name, ...] = ()
    speakers: tuple[Speaker, ...] = ()  # in whose words; none: everybody's
    types: Annotated[
        dict[TypeName, Action], Field(min_length=1)
    ]  # mask, redact, hash, deny or tag; `all` is every type that is not named

    def rule(self) -> Rule:
        return Rule(
            dict(self.types),
            frozenset(self.tenants),
            frozenset(self.models),
            frozenset(self.speakers),
        )


class PiiPolicy(Strict):
    """Off while there are no rules."""

    key: Secret | None = None  # of placeholders and hashes; every replica has the same
    rules: tuple[PiiRulePolicy, ...] = ()
    patterns: Annotated[tuple[PiiPatternPolicy, ...], Field(max_length=MOST_PATTERNS)] = ()
    dictionaries: tuple[PiiDictionaryPolicy, ...] = ()
    detector: DetectorPolicy | None = None
    on_fault: OnFault | None = None  # when looking fails: continue, with nothing masked; none: deny
    _own: tuple[Own | None] | None = PrivateAttr(None)

    def compiled_rules(self) -> Sequence[Rule]:
        return [each.rule() for each in self.rules]

    def own_types(self) -> AbstractSet[str]:
        return {each.name for each in self.patterns} | {each.name for each in self.dictionaries}

    def own(self) -> Own | None:
        """Compile patterns and words, the shipped ones as well: 0.2 to 0.5 s, once, and not in the event
        loop: a policy that is to be served does it while it loads."""
        if self._own is None:
            if self.rules:
                shipped()
            self._own = (self._compile(),)
        return self._own[0]

    def _compile(self) -> Own | None:
        words = [
            (each.name, word, each.minds_case) for each in self.dictionaries for word in each.words
        ]
        if not self.patterns and not words:
            return None
        return Own([(each.name, each.expression) for each in self.patterns], words)


def check_pii(pii: PiiPolicy, known: Mapping[str, AbstractSet[str]]) -> Iterable[tuple[Place, str]]:
    """Find what points nowhere. `known` names the tenants and models there are."""
    own = [each.name for each in pii.patterns] + [each.name for each in pii.dictionaries]
    for name in sorted({name for name in own if name in TYPES | NAMED | {ALL, "quoted"}}):
        yield ("pii",), f"{name!r} is the name of a type that is there already"
    if sum(len(each.words) for each in pii.dictionaries) > MOST_WORDS:
        yield ("pii", "dictionaries"), f"there are more than {MOST_WORDS} words"
    told = set(pii.detector.types) if pii.detector else set[str]()
    for index, rule in enumerate(pii.rules):
        place: Place = ("pii", "rules", index)
        for unknown in sorted(set(rule.types) - TYPES - told - {ALL, *own}):
            why = "only a detector finds it" if unknown in NAMED else "there is no such type"
            yield (*place, "types", unknown), why
        if pii.key is None and {"mask", "hash"} & set(rule.types.values()):
            yield place, "to mask or hash takes a key: say where it is, with `pii.key`"
        yield from check_scope(place, rule, known)
