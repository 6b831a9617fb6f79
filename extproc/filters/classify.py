"""Attacks that a classifier finds: the second look of the firewall.

It stands behind what masks personal data, for its service sees what is sent to it, and behind the rules:
what they refuse costs no question. Here another model can no longer be chosen, so what would be sent to
one is refused.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar

import msgspec

from extproc.decision import Decision, Deny
from extproc.dialects.place import Place
from extproc.dialects.putback import with_texts
from extproc.dialects.texts import TangledError, Text
from extproc.errors import DetectorError, PolicyError, Reason
from extproc.filter import Filter
from extproc.filters.attacks import Told
from extproc.filters.firewall import DOCUMENTS, Attacked, refuse
from extproc.filters.texts import read_texts
from extproc.policy.classifier import ClassifierPolicy
from extproc.policy.firewall import FirewallPolicy
from extproc.policy.models import Policy
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request
from extproc.safety.injection.classifier import (
    Classifier,
    Opinion,
    TooLongError,
    Windows,
    classify,
    take_out,
)
from extproc.safety.injection.firewall import Verdict
from extproc.safety.scope import rules_for

ReachClassifier = Callable[[ClassifierPolicy], Classifier]
Asked = Callable[[str, str], None]


class Heard:
    """A classifier, and who hears of each question: the name of the service, and `ok` or `fault`."""

    def __init__(self, classifier: Classifier, name: str, asked: Asked | None) -> None:
        self._classifier = classifier
        self._name = name
        self._asked = asked

    async def classify(self, texts: Sequence[str]) -> Sequence[float]:
        try:
            scores = await self._classifier.classify(texts)
        except DetectorError:
            self._tell("fault")
            raise
        self._tell("ok")
        return scores

    def _tell(self, result: str) -> None:
        if self._asked:
            self._asked(self._name, result)


class Second(msgspec.Struct, frozen=True):
    """A classifier, and what the policy says of it."""

    policy: ClassifierPolicy
    classifier: Classifier
    windows: Windows

    async def judge(self, texts: Sequence[Text]) -> Opinion:
        """Raises: DetectorError, TooLongError."""
        rule = f"classifier.{self.policy.name}"
        return await classify(texts, self.classifier, self.windows, self.policy.threshold, rule)

    def is_of(self, model: Model) -> bool:
        """Say whether the model is the guard itself: it is not judged."""
        is_guard = self.policy.kind == "guard_chat"
        return is_guard and self.policy.model in (model.name, model.served_as)


class Entry(msgspec.Struct, frozen=True):
    """One of the policy, and who looks twice for it."""

    policy: FirewallPolicy
    second: Second | None

    @property
    def tenants(self) -> Collection[str]:
        return self.policy.tenants

    @property
    def models(self) -> Collection[str]:
        return self.policy.models


class Classify(Filter):
    """The second look at requests. Entries without a classifier are listed as well: the first that is for
    a request counts."""

    name: ClassVar[str] = "classify"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})

    def __init__(self, entries: Sequence[Entry], told: Told) -> None:
        self._entries = entries
        self._told = told

    async def decide(self, request: Request) -> Decision:
        entry = next(iter(rules_for(self._entries, request)), None)
        second = entry.second if entry else None
        if entry is None or second is None or second.is_of(request.fact(Model)):
            return request
        try:
            request, texts = await read_texts(request)
            opinion = await second.judge(texts)
        except TangledError as exc:
            return Deny(Reason.INVALID_REQUEST, f"The request cannot be looked through: {exc}.")
        except (DetectorError, TooLongError) as exc:
            return unjudged(second.policy, exc) or request
        if not opinion.verdict.flagged:
            return request
        return self._act(request, entry.policy, opinion, second.policy.name)

    def _act(
        self, request: Request, policy: FirewallPolicy, opinion: Opinion, version: str
    ) -> Decision:
        action = policy.action
        verdict = opinion.verdict
        if all(each.text.speaker in DOCUMENTS for each in verdict.flagged):
            action = policy.tool_action or action
        if action == "route":
            action = "deny"
        self._told.tell(request, action, verdict, version)
        if action == "deny":
            return refuse(verdict, version)
        if action == "strip":
            request = strip_spans(request, opinion)
        if (before := request.find(Attacked)) is not None:
            flagged = (*verdict.flagged, *before.verdict.flagged)
            verdict = Verdict(max(verdict.score, before.verdict.score), flagged)
            version = f"{before.version}+{version}"
        return request.having(Attacked(action, verdict, version))


def unjudged(policy: ClassifierPolicy, exc: Exception) -> Deny | None:
    """Refuse what was not judged, unless that is to pass: a fault of the service is one thing, more text than
    it may be asked about another, which whoever sends it can bring about."""
    is_excess = isinstance(exc, TooLongError)
    if (policy.on_excess if is_excess else policy.on_fault) == "continue":
        return None
    if is_excess:
        most = policy.most_windows * policy.window_bytes
        message = f"There is more text than can be looked through for attacks: {most} bytes."
        return Deny(Reason.INJECTION, message)
    message = "The service that looks for attacks does not answer."
    return Deny(Reason.NO_MODERATOR, message, retry_after_s=2)


def strip_spans(request: Request, opinion: Opinion) -> Request:
    prompt = request.fact(Prompt)
    changed: Mapping[Place, str] = {
        each.text.place: take_out(each.text.text, opinion.spans[number])
        for number, each in enumerate(opinion.verdict.flagged)
    }
    document = with_texts(prompt.document, changed)
    return request.having(msgspec.structs.replace(prompt, document=document))


def look_twice(
    policy: Policy, reach: ReachClassifier | None, told: Told, asked: Asked | None
) -> Sequence[Filter]:
    """Make the filter, if an entry of the firewall has a classifier. Raises: PolicyError."""
    if not any(each.classifier for each in policy.firewall):
        return ()
    if reach is None:
        raise PolicyError("firewall.classifier: there is no way to ask one here")
    entries: list[Entry] = []
    for each in policy.firewall:
        by = each.classifier
        second = Second(by, Heard(reach(by), by.name, asked), by.windows()) if by else None
        entries.append(Entry(each, second))
    return (Classify(entries, told),)
