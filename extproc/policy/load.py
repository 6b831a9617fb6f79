"""Directories of YAML -> one `Policy`, or every mistake in them with its file and line."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml
from pydantic import ValidationError

from extproc.errors import PolicyError
from extproc.policy.models import Policy

Place = tuple[str | int, ...]
"""A path into the policy: ("keys", 0, "tenant")."""


def load(directories: Sequence[Path]) -> Policy:
    """Join the `*.yaml` files of the directories, in order of their names.

    Raises:
        PolicyError: With every mistake found, one a line: `file:line: place: what is wrong`.
    """
    sources = read_all(directories)
    joined, places = join(sources)
    joined["version"] = version_of(sources)
    try:
        return Policy.model_validate(joined)
    except ValidationError as exc:
        lines = [describe(tuple(e["loc"]), e["msg"], places) for e in exc.errors()]
        raise PolicyError("\n".join(lines)) from None


def read_all(directories: Sequence[Path]) -> Mapping[Path, bytes]:
    """Read the files. Raises: PolicyError when there is none, or one cannot be read."""
    sources: dict[Path, bytes] = {}
    for directory in directories:
        try:
            for path in sorted(directory.glob("*.yaml")):
                sources[path] = path.read_bytes()
        except OSError as exc:
            raise PolicyError(f"{exc.filename or directory}: {exc.strerror}") from None
    if not sources:
        where = ", ".join(str(directory) for directory in directories)
        raise PolicyError(f"{where}: no policy there (no *.yaml file)")
    return sources


def version_of(sources: Mapping[Path, bytes]) -> str:
    """Hash the content; names of directories do not matter, so replicas agree."""
    whole = hashlib.sha256()
    for path, raw in sources.items():
        whole.update(f"{path.name}\0{len(raw)}\0".encode() + raw)
    return whole.hexdigest()[:12]


def join(sources: Mapping[Path, bytes]) -> tuple[dict[str, object], Mapping[Place, str]]:
    """Merge files: lists are joined, a scalar may stand in one file only."""
    joined: dict[str, object] = {}
    places: dict[Place, str] = {}
    wrong: list[str] = []
    for path, raw in sources.items():
        try:
            node: yaml.Node | None = yaml.compose(raw, yaml.SafeLoader)
            members: object = yaml.safe_load(raw)
        except yaml.YAMLError as exc:
            wrong.append(describe_yaml(path, exc))
            continue
        if node is None:
            continue
        if not isinstance(node, yaml.MappingNode) or not isinstance(members, dict):
            wrong.append(f"{path}:1: a policy file is a mapping of sections")
            continue
        wrong += merge(joined, places, path, node, cast("dict[str, object]", members))
    if wrong:
        raise PolicyError("\n".join(wrong))
    return joined, places


def merge(
    joined: dict[str, object],
    places: dict[Place, str],
    path: Path,
    node: yaml.MappingNode,
    members: Mapping[str, object],
) -> Iterable[str]:
    """Add one file, noting where each part of it stands."""
    for key_node, value_node in node.value:
        section = str(key_node.value)
        here = f"{path}:{key_node.start_mark.line + 1}"
        value = members.get(section)
        known = joined.get(section)
        if isinstance(value, list) and (known is None or isinstance(known, list)):
            before = cast("list[object]", known or [])
            joined[section] = [*before, *cast("list[object]", value)]
            for index, item in enumerate(value_node.value, start=len(before)):
                note(places, (section, index), item, path)
        elif section in joined or (section,) in places:
            yield f"{here}: {section}: is already set at {places[(section,)]}"
            continue
        else:
            joined[section] = value
            note(places, (section,), value_node, path)
        places[(section,)] = here


def note(places: dict[Place, str], place: Place, node: yaml.Node, path: Path) -> None:
    places[place] = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            note(places, (*place, str(key_node.value)), value_node, path)
            places[(*place, str(key_node.value))] = f"{path}:{key_node.start_mark.line + 1}"
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            note(places, (*place, index), item, path)


def describe(place: Place, message: str, places: Mapping[Place, str]) -> str:
    """Say where: the nearest part of the policy that stands in a file."""
    known = place
    while known and known not in places:
        known = known[:-1]
    where = places.get(known, "policy")
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).removeprefix(".")
    return f"{where}: {path}: {message}" if path else f"{where}: {message}"


def describe_yaml(path: Path, exc: yaml.YAMLError) -> str:
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark:
        return f"{path}:{exc.problem_mark.line + 1}: {exc.problem}"
    return f"{path}: {exc}"


def names_pools(directories: Sequence[Path]) -> bool:
    """Tell whether the policy brings engines of its own. Raises: PolicyError."""
    joined, _ = join(read_all(directories))
    return bool(joined.get("pools"))
