"""Who judges: the rules of a policy, their words, and the services they ask."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from extproc.errors import DetectorError
from extproc.filter import OnFault
from extproc.safety.moderation.rules import (
    Hit,
    Hold,
    Moderator,
    Question,
    Rule,
    UnjudgedError,
    Where,
)
from extproc.safety.moderation.words import Lexicon, Reader
from extproc.safety.scope import covers

PART_CHARS = 8_000
"""Of a text that is judged at once: 2 000 to 8 000 tokens; guards read 8 192 and more."""
PART_OVERLAP_CHARS = 400
"""Of two parts: some sentences, so that what is said across a cut is seen."""
MOST_PARTS = 64
"""Of one question: half a megabyte of text."""


class Service(msgspec.Struct, frozen=True):
    """One that judges, and what becomes of what it does not judge."""

    moderator: Moderator
    on_fault: OnFault = "deny"


class Panel:
    """Of one policy."""

    def __init__(
        self,
        rules: Sequence[Rule],
        services: Mapping[str, Service],
        asked: Callable[[str, str], None] | None = None,
    ) -> None:
        """`asked` hears of each question: the service, and `ok` or `fault`. Raises: OwnError."""
        self.rules = rules
        self.services = services
        self.lexicon = Lexicon(rules)
        self._asked = asked

    def seat(self, tenant: str, model: str, where: Where) -> "Bench":
        """Take the rules that are for a request."""
        rules = [each for each in self.rules if where in each.where and covers(each, tenant, model)]
        return Bench(self, rules, where)

    async def ask(self, name: str, question: Question) -> Sequence[Mapping[str, float]] | None:
        """None: it did not judge."""
        scores: Sequence[Mapping[str, float]] | None
        try:
            scores = await self.services[name].moderator.judge(question)
        except DetectorError:
            scores = None
        if self._asked:
            self._asked(name, "fault" if scores is None else "ok")
        return scores


class Bench:
    """The rules for one request, or for its answer."""

    def __init__(self, panel: Panel, rules: Sequence[Rule], where: Where) -> None:
        self._panel = panel
        self._where: Where = where
        self.asked = ""
        """What the answer answers."""
        self.rules = rules
        self._words: AbstractSet[str] = frozenset(each.name for each in rules if each.has_words)
        self._reach = panel.lexicon.reach(self._words)
        self._asking = [each for each in rules if each.service]
        self.asks = bool(self._asking)
        """Whether services are asked."""
        self.blocks = any(each.action == "block" for each in rules)
        """Whether anything has to be held: what is only tagged passes."""
        self.sampling = self._asking[0].sampling if len(self._asking) == 1 else None

    def hold(self) -> Hold:
        """The tightest of all rules'."""
        return Hold(
            min((each.hold.tokens for each in self.rules), default=0),
            min((each.hold.ms for each in self.rules), default=0),
        )

    def reader(self, *, is_json: bool = False) -> Reader | None:
        if not self._words:
            return None
        return Reader(self._panel.lexicon, self._words, self._reach, is_json=is_json)

    def read(self, text: str) -> Sequence[Hit]:
        """Look for words in a whole text. Raises: FloodError."""
        if not self._words:
            return ()
        return [hit(each) for each in self._panel.lexicon.read(text, self._words)]

    async def ask(self, texts: Sequence[str]) -> Sequence[Sequence[Hit]]:
        """Ask all services at once; return what their rules have against each text. Raises:
        UnjudgedError."""
        parts, owners = cut(texts)
        names = sorted({each.service for each in self._asking})
        for name in names if len(parts) > MOST_PARTS else ():
            if self._panel.services[name].on_fault == "deny":
                raise UnjudgedError(name)
        if not parts or len(parts) > MOST_PARTS:
            return [()] * len(texts)
        question = Question(parts, self._where, self.asked)
        async with asyncio.TaskGroup() as tasks:
            asking = {name: tasks.create_task(self._panel.ask(name, question)) for name in names}
        found: list[list[Hit]] = [[] for _ in texts]
        for rule in self._asking:
            scores = asking[rule.service].result()
            if scores is None:
                if self._panel.services[rule.service].on_fault == "deny":
                    raise UnjudgedError(rule.service)
                continue
            for owner, each in zip(owners, scores, strict=True):
                if category := rule.find(each):
                    found[owner].append(Hit(rule.name, category, rule.action))
        return found


def hit(rule: Rule) -> Hit:
    """Words have no category but the rule they stand in."""
    return Hit(rule.name, rule.name, rule.action)


def cut(texts: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
    """Cut long texts into parts that overlap; say to which text each belongs. Empty ones have none."""
    parts: list[str] = []
    owners: list[int] = []
    step = PART_CHARS - PART_OVERLAP_CHARS
    for owner, text in enumerate(texts):
        for start in range(0, max(1, len(text) - PART_OVERLAP_CHARS), step):
            part = text[start : start + PART_CHARS]
            if part.strip():
                parts.append(part)
                owners.append(owner)
    return parts, owners


def find_block(hits: Sequence[Hit]) -> Hit | None:
    return next((each for each in hits if each.action == "block"), None)
