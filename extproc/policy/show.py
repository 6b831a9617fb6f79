"""The normalised view of a policy: files joined, defaults filled in, one spelling for one meaning.

What may not be shown is not in it: secrets are references already, digests are shortened.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import yaml
from pydantic import BaseModel

from extproc.policy.catalog import ModelPolicy
from extproc.policy.models import Policy

Tree = dict[str, "Value"]
Value = None | bool | int | float | str | list["Value"] | Tree

SHOWN_DIGITS = 12
"""Of a digest: enough to find it in a file, useless to whoever tries keys."""
DIGEST = re.compile(r"[0-9a-f]{64}")


def normalise(policy: Policy) -> Tree:
    """Turn a policy into plain values, digests in full: `diff` compares these."""
    return plain_model(policy)


def show(policy: Policy) -> Tree:
    """The normalised view, as people may see it."""
    return cast("Tree", shorten({"version": policy.version, **normalise(policy)}))


class Writer(yaml.SafeDumper):
    """Writes text of several lines as such, so that prompts can be read."""

    def represent_data(self, data: object) -> yaml.Node:
        if isinstance(data, str) and "\n" in data.strip():
            # The stubs give no type to the value.
            return self.represent_scalar("tag:yaml.org,2002:str", data, "|")  # pyright: ignore[reportUnknownMemberType]
        return super().represent_data(data)  # pyright: ignore[reportUnknownMemberType]


def as_yaml(tree: Tree) -> str:
    """Write it the way policies are written: what holds plain values only stands on one line."""
    sections: list[str] = []
    for name, section in tree.items():
        flow = None if isinstance(section, list | dict) else False
        sections.append(
            yaml.dump(
                {name: section},
                Dumper=Writer,
                sort_keys=False,
                allow_unicode=True,
                width=100,
                default_flow_style=flow,
            )
        )
    return "".join(sections)


def plain_model(model: BaseModel) -> Tree:
    """The members of a model. Left out: what has no value, and what is as empty as its default."""
    tree: Tree = {}
    for name, field in type(model).model_fields.items():
        value = cast("object", getattr(model, name))
        default = cast("object", field.get_default(call_default_factory=True))
        if value is None or (value == default and not is_full(value)):
            continue
        tree[name] = plain(value)
    return one_spelling(model, tree)


def is_full(value: object) -> bool:
    """Whether a default is worth showing: an empty list is not, 0 and False are."""
    if isinstance(value, BaseModel):
        return bool(plain_model(value))
    return not isinstance(value, tuple | dict | str) or bool(value)  # pyright: ignore[reportUnknownArgumentType] - only its truth is asked


def one_spelling(model: BaseModel, tree: Tree) -> Tree:
    """A model served by one pool is a model with one track."""
    if not isinstance(model, ModelPolicy):
        return tree
    own = {"pool", "version", "served_as", "tracks"}
    tracks: list[Value] = [plain_model(track) for track in model.in_service()]
    return {**{name: value for name, value in tree.items() if name not in own}, "tracks": tracks}


def plain(value: object) -> Value:
    """One value as YAML and JSON can write it; what has no form there becomes its text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case BaseModel():
            return plain_model(value)
        case Mapping():
            members = cast("Mapping[object, object]", value)
            return {str(name): plain(member) for name, member in members.items()}
        case tuple() | list():
            return [plain(item) for item in cast("Sequence[object]", value)]
        case _:
            return plain_text(value)


def plain_text(value: object) -> str:
    """Times in UTC; prices exact, without an exponent or zeros at the end: 0.10 and 0.1 are one."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case _:
            return str(value)


def shorten(value: Value) -> Value:
    """Cut every digest."""
    match value:
        case dict():
            return {name: shorten(member) for name, member in value.items()}
        case list():
            return [shorten(item) for item in value]
        case str() if DIGEST.fullmatch(value):
            return f"{value[:SHOWN_DIGITS]}..."
        case _:
            return value
