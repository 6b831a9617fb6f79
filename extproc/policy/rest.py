"""When some entries of a policy are wrong: what can be said of the others all the same.

References can only be followed in a whole policy. The wrong entries are left out; what they may
have been called counts as there, so that one mistake neither hides others nor makes new ones.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import cast

from pydantic import ValidationError

from extproc.policy.base import Place
from extproc.policy.models import Mistake, Policy


def check_rest(joined: Mapping[str, object], wrong: Collection[Place]) -> Iterable[Mistake]:
    """Follow the references of what is right. `wrong` are the places of known mistakes."""
    kept: dict[str, object] = {}
    indexes: dict[str, list[int]] = {}
    left_out: set[str] = set()
    wrong_in: dict[int | str, set[int | str]] = {}
    for place in wrong:
        wrong_in.setdefault(place[0], set()).update(place[1:2])
    for section, given in joined.items():
        entries = wrong_in.get(section, set())
        if (section,) in wrong and section in Policy.model_fields:
            return  # a whole section that is not there: anything may have been in it
        if isinstance(given, list):
            items = cast("list[object]", given)
            indexes[section] = [index for index in range(len(items)) if index not in entries]
            kept[section] = [items[index] for index in indexes[section]]
            left_out |= {text for i in entries if isinstance(i, int) for text in texts(items[i])}
        elif not entries and section in Policy.model_fields:
            kept[section] = given
    try:
        policy = Policy.model_validate(kept)
    except ValidationError:
        return
    for place, said in policy.dangling():
        if not any(repr(text) in said for text in left_out):
            yield original(place, indexes), said


def original(place: Place, indexes: Mapping[str, list[int]]) -> Place:
    """Where an entry stood before others were left out."""
    match place:
        case (str(section), int(index), *rest) if section in indexes:
            return (section, indexes[section][index], *rest)
        case _:
            return place


def texts(value: object) -> Iterable[str]:
    """Every text within: any of them may have been the name."""
    match value:
        case str():
            yield value
        case dict():
            for member in cast("dict[object, object]", value).values():
                yield from texts(member)
        case list():
            for item in cast("list[object]", value):
                yield from texts(item)
        case _:
            return
