"""What differs between two policies: by meaning, not by text.

Order says nothing in sections and in plain lists; it counts in lists of rules, which have no names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from extproc.policy.models import Policy
from extproc.policy.show import Tree, Value, normalise, shorten

NAMES = ("name", "id", "track")
"""Members that tell the entries of a list apart."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. An entry is added or removed whole; a member of one that stays is changed."""

    kind: Literal["added", "removed", "changed"]
    section: str
    entry: str = ""
    """Its name; empty for a section that is no list."""
    member: str = ""
    old: Value = None
    new: Value = None

    def document(self) -> Mapping[str, object]:
        """For programs."""
        return {
            "change": self.kind,
            "section": self.section,
            "entry": self.entry or None,
            "member": self.member or None,
            "old": shorten(self.old),
            "new": shorten(self.new),
        }

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~"}[self.kind]
        place = " ".join(part for part in (self.section, self.entry, self.member) if part)
        if self.kind == "changed":
            return f"{sign} {place}: {word_change(self.old, self.new)}"
        value = self.new if self.kind == "added" else self.old
        return f"{sign} {place}: {word(shorten(value))}" if value else f"{sign} {place}"


def compare(old: Policy, new: Policy) -> Sequence[Change]:
    """Find all changes, section by section."""
    before, after = normalise(old), normalise(new)
    sections = [*before, *(section for section in after if section not in before)]
    return [change for s in sections for change in in_section(s, before.get(s), after.get(s))]


def in_section(section: str, old: Value, new: Value) -> Iterable[Change]:
    if isinstance(old or [], list) and isinstance(new or [], list):
        yield from in_entries(section, by_name(old), by_name(new))
        return
    if isinstance(old or {}, dict) and isinstance(new or {}, dict):
        old, new = old or {}, new or {}
    for member, before, after in leaves("", old, new):
        yield Change("changed", section, "", member, before, after)


def in_entries(
    section: str, old: Mapping[str, Value], new: Mapping[str, Value]
) -> Iterable[Change]:
    for entry, value in old.items():
        if entry not in new:
            yield Change("removed", section, entry, "", value, None)
            continue
        for member, before, after in leaves("", value, new[entry]):
            yield Change("changed", section, entry, member, before, after)
    for entry, value in new.items():
        if entry not in old:
            yield Change("added", section, entry, "", None, value)


Leaf = tuple[str, Value, Value]


def leaves(member: str, old: Value, new: Value) -> Iterable[Leaf]:
    """Go down as far as both sides have the same shape, and give what differs there."""
    if old == new:
        return
    if isinstance(old or [], list) and isinstance(new or [], list):
        old, new = old or [], new or []
    if isinstance(old, dict) and isinstance(new, dict):
        yield from in_members(f"{member}." if member else "", old, new)
    elif isinstance(old, list) and isinstance(new, list):
        if is_plain(old) and is_plain(new):
            if sorted(map(repr, old)) != sorted(map(repr, new)):
                yield member, old, new
        elif is_named(old) and is_named(new):
            named = ({f"[{n}]": v for n, v in by_name(side).items()} for side in (old, new))
            yield from in_members(member, *named)
        else:
            pairs = ({f"[{n}]": v for n, v in enumerate(side)} for side in (old, new))
            yield from in_members(member, *pairs)
    else:
        yield member, old, new


def in_members(prefix: str, old: Tree, new: Tree) -> Iterable[Leaf]:
    for name in [*old, *(name for name in new if name not in old)]:
        yield from leaves(f"{prefix}{name}", old.get(name), new.get(name))


def is_plain(items: Sequence[Value]) -> bool:
    return not any(isinstance(item, dict | list) for item in items)


def is_named(items: Sequence[Value]) -> bool:
    return all(isinstance(item, dict) and any(name in item for name in NAMES) for item in items)


def by_name(section: Value) -> Mapping[str, Value]:
    """The entries of a list by their names; those without one by their position."""
    items = section if isinstance(section, list) else []
    return {name_of(item) or str(index): item for index, item in enumerate(items)}


def name_of(item: Value) -> str:
    """The first of `NAMES` that it has."""
    members = item if isinstance(item, dict) else {}
    return next((str(members[name]) for name in NAMES if name in members), "")


def word_change(old: Value, new: Value) -> str:
    """`+a -b` for plain lists, `old -> new` for anything else."""
    if isinstance(old, list) and isinstance(new, list) and is_plain(old) and is_plain(new):
        plus = [f"+{word(shorten(item))}" for item in new if item not in old]
        minus = [f"-{word(shorten(item))}" for item in old if item not in new]
        return " ".join([*plus, *minus])
    before, after = word(shorten(old)), word(shorten(new))
    return f"{before} -> {after}"


def word(value: Value) -> str:
    """A value on one line."""
    match value:
        case None:
            return "none"
        case dict():
            return ", ".join(f"{name} {word(member)}" for name, member in value.items())
        case list() if is_plain(value):
            return f"[{', '.join(word(item) for item in value)}]"
        case list():
            return f"[{'; '.join(word(item) for item in value)}]"
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)
