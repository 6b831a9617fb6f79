"""What is done with which values, of whom, in whose words."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec

from extproc.dialects.textual import Speaker

Action = Literal["tag", "mask", "hash", "redact", "deny"]
"""In the order of their strength: of two findings that overlap, the stronger action is taken.

    tag      nothing: it is only counted
    mask     a placeholder stands for it, and the caller's answer has the value again
    hash     a keyed hash stands for it, for good
    redact   the name of its type stands for it, for good
    deny     the request is refused
"""
STRENGTH: Mapping[Action, int] = {"tag": 0, "mask": 1, "hash": 2, "redact": 3, "deny": 4}
ALL = "all"

TYPES = frozenset(
    [
        "address",
        "api_key",
        "bank_card",
        "birth_date",
        "company_id",
        "email",
        "iban",
        "ip_address",
        "passport",
        "phone",
        "plate",
        "private_key",
        "resident_id",
        "ssn",
        "url_credentials",
    ]
)
"""What the shipped patterns find."""
NAMED = frozenset({"person", "organization", "location"})
"""What only a detector finds."""


class Rule(msgspec.Struct, frozen=True):
    """For whom, and what then. Empty sets are everybody."""

    actions: Mapping[str, Action]
    """By type; `all` is every type that no rule names otherwise."""
    tenants: AbstractSet[str] = frozenset()
    models: AbstractSet[str] = frozenset()
    speakers: AbstractSet[Speaker] = frozenset()


class Choice:
    """The rules that are for one request, in order: the first that names a type and is for the speaker
    says what to do."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self.is_any = bool(rules)
        self._known: dict[tuple[str, Speaker], Action | None] = {}
        self.touches = any(action != "tag" for rule in rules for action in rule.actions.values())
        """Whether anything may be changed or refused."""

    def action(self, kind: str, speaker: Speaker) -> Action | None:
        if (kind, speaker) not in self._known:
            self._known[kind, speaker] = self._find(kind, speaker)
        return self._known[kind, speaker]

    def _find(self, kind: str, speaker: Speaker) -> Action | None:
        heard = [rule for rule in self._rules if not rule.speakers or speaker in rule.speakers]
        for wanted in (kind, ALL):
            for rule in heard:
                if wanted in rule.actions:
                    return rule.actions[wanted]
        return None
