"""What may not be asked or said: rules with words, patterns, and services that judge."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from extproc.policy.base import Name, Place, Secret, Strict, Url, Word
from extproc.policy.pii import OnFault
from extproc.safety.moderation.fold import fold
from extproc.safety.moderation.rules import Action, Hold, Rule, Sampling, Where
from extproc.safety.moderation.words import MOST_REACH, check_pattern
from extproc.safety.pii.own import MOST_EXPRESSION, MOST_PATTERNS, MOST_WORDS, OwnError, check_word
from extproc.safety.scope import check_scope

BOTH: AbstractSet[Where] = frozenset({"request", "answer"})
Category = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,47}$")]
Share = Annotated[float, Field(ge=0, le=1)]


def sound(expression: str) -> str:
    try:
        check_pattern(expression)
    except OwnError as exc:
        raise ValueError(str(exc)) from None
    return expression


def sayable(word: str) -> str:
    try:
        check_word(word)
        check_word(fold(word))
    except OwnError as exc:
        raise ValueError(f"{word[:20]!r} {exc}") from None
    return word


class ModeratorPolicy(Strict):
    """A service that judges. It is asked within `timeout_ms`; after three faults in a row it is left
    alone for two seconds."""

    name: Word
    kind: Literal["openai_moderations", "guard_chat"]
    url: Url  # the whole of it: `.../v1/moderations`, `.../v1/chat/completions`
    model: Name | None = None  # its name there; guard_chat needs one
    token: Secret | None = None  # sent as a bearer token
    timeout_ms: Annotated[int, Field(ge=1, le=4000)] = 800
    on_fault: OnFault = "deny"  # when it does not judge: deny (an answer is cut), or continue


class HoldPolicy(Strict):
    """How much of a stream may be held back. With a service, judging takes up to `timeout_ms` more."""

    tokens: Annotated[int, Field(ge=1, le=1024)] = 32  # what services judge at once
    ms: Annotated[int, Field(ge=1, le=10_000)] = 500  # until it is judged by what is there


class SamplingPolicy(Strict):
    """Of long answers, a service need not judge all."""

    after_tokens: Annotated[int, Field(ge=0)]  # from there on
    every: Annotated[int, Field(ge=2, le=1000)]  # one window of so many


class ModerationRulePolicy(Strict):
    """Of all rules that are for a request, each counts. Needs words, patterns or a service."""

    name: Word  # clients, metrics and the audit log are told
    where: Literal["request", "answer", "both"] = "both"
    action: Action = "block"  # a request is refused, an answer ends; or tag: it is only counted
    words: tuple[Annotated[str, AfterValidator(sayable)], ...] = ()  # words or phrases, in any case
    patterns: tuple[
        Annotated[str, Field(min_length=1, max_length=MOST_EXPRESSION), AfterValidator(sound)], ...
    ] = ()  # in re2's syntax, in any case
    pattern_chars: Annotated[int, Field(ge=1, le=MOST_REACH)] = 64  # how long matches may be
    service: Word | None = None
    categories: dict[Category, Share] = Field(
        default_factory=dict
    )  # a score above is found; none: all, by `threshold`
    threshold: Share = 0.7
    hold: HoldPolicy = HoldPolicy()
    sampling: SamplingPolicy | None = None
    tenants: tuple[Word, ...] = ()  # for whom it is; none: everybody
    models: tuple[Name, ...] = ()

    def rule(self) -> Rule:
        where: AbstractSet[Where] = BOTH if self.where == "both" else frozenset({self.where})
        sampling = self.sampling
        return Rule(
            name=self.name,
            where=where,
            action=self.action,
            words=self.words,
            patterns=self.patterns,
            pattern_chars=self.pattern_chars,
            service=self.service or "",
            categories=dict(self.categories),
            threshold=self.threshold,
            hold=Hold(self.hold.tokens, self.hold.ms),
            sampling=Sampling(sampling.after_tokens, sampling.every) if sampling else None,
            tenants=frozenset(self.tenants),
            models=frozenset(self.models),
        )


class ModerationPolicy(Strict):
    """Off while there are no rules."""

    services: tuple[ModeratorPolicy, ...] = ()
    rules: tuple[ModerationRulePolicy, ...] = ()
    on_fault: OnFault | None = None  # when looking itself fails: continue, unmoderated; none: deny

    def compiled_rules(self) -> Sequence[Rule]:
        return [each.rule() for each in self.rules]


def check_moderation(
    moderation: ModerationPolicy, known: Mapping[str, AbstractSet[str]]
) -> Iterable[tuple[Place, str]]:
    """Find what points nowhere. `known` names the tenants and models there are."""
    services = [each.name for each in moderation.services]
    for index, service in enumerate(moderation.services):
        place: Place = ("moderation", "services", index)
        if service.name in services[:index]:
            yield (*place, "name"), f"{service.name!r} stands twice"
        if service.kind == "guard_chat" and service.model is None:
            yield place, "a guard_chat needs its `model`"
    names = [each.name for each in moderation.rules]
    for index, rule in enumerate(moderation.rules):
        place = ("moderation", "rules", index)
        if rule.name in names[:index]:
            yield (*place, "name"), f"{rule.name!r} stands twice"
        if rule.service is not None and rule.service not in services:
            yield (*place, "service"), f"there is no service {rule.service!r}"
        if not (rule.words or rule.patterns or rule.service):
            yield place, "it looks for nothing: give words, patterns or a service"
        yield from check_scope(place, rule, known)
    yield from check_sizes(moderation)


def check_sizes(moderation: ModerationPolicy) -> Iterable[tuple[Place, str]]:
    place: Place = ("moderation", "rules")
    if sum(len(each.words) for each in moderation.rules) > MOST_WORDS:
        yield place, f"there are more than {MOST_WORDS} words"
    if sum(len(each.patterns) for each in moderation.rules) > MOST_PATTERNS:
        yield place, f"there are more than {MOST_PATTERNS} patterns"
