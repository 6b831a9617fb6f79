"""Texts of a request put back changed, each where `texts.py` found it; all else stays as it was.

JSON inside a text is written anew only if something in it changes. A number that is changed becomes a
text. Names of members are renamed where they stand; two that would get the same name are told apart by
`_2`.
"""

from collections.abc import Mapping
from typing import TypeAlias, cast

from extproc.dialects.body import Document
from extproc.dialects.inner import read_inner, write_inner
from extproc.dialects.place import JSON, KEY, Place, Step
from extproc.dialects.texts import write_number

Tree: TypeAlias = "dict[Step, Tree | str]"


def with_texts(document: Document, changed: Mapping[Place, str]) -> dict[str, object]:
    """Put other texts in the places of those that were found; what holds none of them is shared."""
    tree: Tree = {}
    for place, text in changed.items():
        below = tree
        for step in place[:-1]:
            below = cast("Tree", below.setdefault(step, {}))
        below[place[-1]] = text
    return cast("dict[str, object]", rebuild(document, tree))


def rebuild(value: object, tree: "Tree | str") -> object:
    """At most `texts.MOST_DEPTH` deep."""
    if isinstance(tree, str):
        return value if write_number(value) == tree else tree
    if isinstance(value, str):
        inner = read_inner(value)
        made = rebuild(inner, tree[JSON])
        return value if made == inner else write_inner(made, value)
    if isinstance(value, list):
        items = list(cast("list[object]", value))
        for step, below in tree.items():
            items[cast("int", step)] = rebuild(items[cast("int", step)], below)
        return items
    members = dict(cast("Mapping[str, object]", value))
    for name, below in tree.items():
        if isinstance(name, str):
            members[name] = rebuild(members[name], below)
    names = tree.get(KEY)
    return rename(members, cast("Mapping[str, str]", names)) if names else members


def rename(members: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Give members other names, in their old order, and none that is taken."""
    renamed: dict[str, object] = {}
    taken = {name for name in members if names.get(name, name) == name}
    for name, value in members.items():
        wanted = new = names.get(name, name)
        number = 1
        while new != name and new in taken:
            number += 1
            new = f"{wanted}_{number}"
        taken.add(new)
        renamed[new] = value
    return renamed
