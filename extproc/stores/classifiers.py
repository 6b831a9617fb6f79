"""Classifiers of attacks, over HTTP: `Classifier` for the policy's `firewall[].classifier`.

    predict      POST URL {"inputs": [["..."], ...], "truncate": true}
                 as text-embeddings-inference serves sequence classifiers at /predict (its OpenAPI page):
                 a list for each text, of labels with scores that add up to one
    classify     POST URL {"model": "...", "input": ["...", ...]}
                 as vLLM serves them at /classify, and SGLang at /v1/classify (their docs): for each text
                 the label that won, and the chances of all classes without their names
    guard_chat   POST URL {"model": "...", "messages": [...]}
                 a guard model on an engine; it is asked and read as moderation does

The score of a text is what is left beside its harmless labels: a classifier with several kinds of attacks
is understood as well as one with two classes.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from time import monotonic

import msgspec

from extproc.errors import DetectorError
from extproc.policy.classifier import ClassifierPolicy
from extproc.policy.moderation import ModeratorPolicy
from extproc.safety.injection.classifier import Classifier
from extproc.safety.moderation.rules import Question
from extproc.stores.moderators import HttpModerator
from extproc.stores.services import HttpService, ServiceClient, clean

MOST_BYTES = 1024 * 1024
"""Of an answer: 64 texts with 100 labels each take 300 kB."""
BATCH = 32
"""Texts of one call: what text-embeddings-inference takes unless it is told otherwise."""


class _Label(msgspec.Struct):
    label: str
    score: float


class _Class(msgspec.Struct):
    label: str | None
    probs: list[float]
    index: int = 0


class _Classes(msgspec.Struct):
    data: list[_Class]


def reach_classifier(client: ServiceClient, policy: ClassifierPolicy) -> Classifier:
    """Reach the service that a policy names."""
    if policy.kind == "guard_chat":
        return GuardClassifier(client, policy)
    return HttpClassifier(client, policy)


class HttpClassifier:
    """Implements `Classifier` for `predict` and `classify`."""

    def __init__(
        self,
        client: ServiceClient,
        policy: ClassifierPolicy,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._service = HttpService(client, policy, MOST_BYTES, clock)
        self._model = policy.model
        self._harmless = frozenset(each.lower() for each in policy.harmless)
        self._is_predict = policy.kind == "predict"

    async def classify(self, texts: Sequence[str]) -> Sequence[float]:
        async def ask() -> Sequence[float]:
            scores: list[float] = []
            for start in range(0, len(texts), BATCH):
                scores += await self._ask([clean(each) for each in texts[start : start + BATCH]])
            return scores

        return await self._service.ask(ask)

    async def _ask(self, texts: Sequence[str]) -> Sequence[float]:
        if self._is_predict:
            asked = {"inputs": [[each] for each in texts], "truncate": True}
            return read_labels(await self._service.post(asked), len(texts), self._harmless)
        known = {"model": self._model} if self._model else {}
        raw = await self._service.post({**known, "input": texts})
        return read_classes(raw, len(texts), self._harmless)


class GuardClassifier:
    """Implements `Classifier` with a guard that chats: what it has anything against is an attack."""

    def __init__(self, client: ServiceClient, policy: ClassifierPolicy) -> None:
        known = {name: getattr(policy, name) for name in ("url", "model", "token", "timeout_ms")}
        named = ModeratorPolicy(name=policy.name, kind="guard_chat", **known)
        self._guard = HttpModerator(client, named)

    async def classify(self, texts: Sequence[str]) -> Sequence[float]:
        verdicts = await self._guard.judge(Question(texts, "request"))
        return [max(each.values(), default=0.0) for each in verdicts]


def read_labels(raw: bytes, count: int, harmless: AbstractSet[str]) -> Sequence[float]:
    """Read what `/predict` answers to so many texts. Raises: DetectorError."""
    try:
        found = msgspec.json.decode(raw, type=list[list[_Label]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DetectorError("answered no labels") from None
    check_count(len(found), count)
    scores: list[float] = []
    for labels in found:
        named = {each.label.lower() for each in labels}
        if not named & harmless:
            raise DetectorError("none of its labels is one of the harmless")
        scores.append(share(1.0 - sum(e.score for e in labels if e.label.lower() in harmless)))
    return scores


def read_classes(raw: bytes, count: int, harmless: AbstractSet[str]) -> Sequence[float]:
    """Read what `/classify` answers to so many texts. Which class is the harmless one, the texts that it
    won tell; of others, with more than two classes, the score is that of the class that won.
    Raises: DetectorError."""
    try:
        found = msgspec.json.decode(raw, type=_Classes).data
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise DetectorError("answered no classes") from None
    check_count(len(found), count)
    scores: list[float] = []
    for each in sorted(found, key=lambda one: one.index):
        if not each.label or not each.probs:
            raise DetectorError("answered without a label")
        won = share(max(each.probs))
        scores.append(share(1.0 - won) if each.label.lower() in harmless else won)
    return scores


def check_count(found: int, count: int) -> None:
    if found != count:
        raise DetectorError("answered for another number of texts")


def share(score: float) -> float:
    """Raises: DetectorError."""
    if not -0.01 <= score <= 1.01:
        raise DetectorError("answered scores that are no chances")
    return min(1.0, max(0.0, score))
