"""Directories of YAML -> one `Policy`, or every mistake in them with its file and line."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml
from pydantic import ValidationError

from extproc.errors import PolicyError
from extproc.policy.base import Place
from extproc.policy.models import Policy

Sources = Mapping[Path, bytes]
MERGE_KEY = "<<"


def load(directories: Sequence[Path]) -> Policy:
    """Join the YAML files of the directories, in order of their names.

    Raises:
        PolicyError: With every mistake found, one a line: `file:line: place: what is wrong`.
    """
    return load_sources(read_all(directories))


def load_sources(sources: Sources) -> Policy:
    """Load what was read. Raises: PolicyError."""
    joined, places = join(sources)
    try:
        policy = Policy.model_validate(joined).at(version_of(sources))
    except ValidationError as exc:
        lines = [
            describe(e["loc"], e["msg"].removeprefix("Value error, "), places) for e in exc.errors()
        ]
        raise PolicyError("\n".join(lines)) from None
    if wrong := [describe(place, said, places) for place, said in policy.dangling()]:
        raise PolicyError("\n".join(wrong))
    return policy


def read_all(directories: Sequence[Path]) -> Sources:
    """Read the files. Raises: PolicyError when one cannot be read, or a directory has none:
    a mount that vanished must not look like a policy without keys."""
    sources: dict[Path, bytes] = {}
    for directory in directories:
        try:
            paths = sorted(path for path in directory.iterdir() if is_policy(path.name))
            sources.update((path, path.read_bytes()) for path in paths)
        except OSError as exc:
            raise PolicyError(f"{exc.filename or directory}: {exc.strerror}") from None
        if not paths:
            raise PolicyError(f"{directory}: no policy there (no *.yaml file)")
    return sources


def is_policy(name: str) -> bool:
    """Dot files are editors' drafts and Kubernetes' links."""
    return name.endswith((".yaml", ".yml")) and not name.startswith(".")


def version_of(sources: Sources) -> str:
    """Hash the content; names of directories do not matter, so replicas agree."""
    whole = hashlib.sha256()
    for path, raw in sources.items():
        whole.update(f"{path.name}\0{len(raw)}\0".encode() + raw)
    return whole.hexdigest()[:12]


def join(sources: Sources) -> tuple[dict[str, object], Mapping[Place, str]]:
    """Merge files: lists are joined, anything else may stand in one file only."""
    joined: dict[str, object] = {}
    places: dict[Place, str] = {}
    wrong: list[str] = []
    for path, raw in sources.items():
        try:
            node: yaml.Node | None = yaml.compose(raw, yaml.SafeLoader)
            if node is None:
                continue
            if repeated := list(find_repeated(node, path, set())):
                wrong += repeated
                continue
            members: object = yaml.safe_load(raw)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            wrong.append(describe_yaml(path, exc))
            continue
        if not isinstance(node, yaml.MappingNode) or not isinstance(members, dict):
            wrong.append(f"{path}:1: a policy file is a mapping of sections")
            continue
        wrong += merge(joined, places, path, node, cast("dict[str, object]", members))
    if wrong:
        raise PolicyError("\n".join(wrong))
    return joined, places


def find_repeated(node: yaml.Node, path: Path, above: set[int]) -> Iterable[str]:
    """Find members that stand twice in one mapping, where YAML would take the last, and aliases
    that contain themselves. Raises: RecursionError for absurd nesting."""
    if id(node) in above:
        yield f"{path}:{node.start_mark.line + 1}: an alias that contains itself"
        return
    inside = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen and name != MERGE_KEY:
                yield f"{path}:{key.start_mark.line + 1}: {name!r} stands twice in one mapping"
            seen.add(name)
            yield from find_repeated(value, path, inside)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from find_repeated(item, path, inside)


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
    """Say where: the nearest part of the policy that stands in a file.

    What pydantic adds to a place for its own bookkeeping (`constrained-str`) is left out.
    """
    known = place
    while known and known not in places:
        known = known[:-1]
    where = places.get(known, "policy")
    shown = [*known, *(part for part in place[len(known) :] if is_member(part))]
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in shown).removeprefix(".")
    return f"{where}: {path}: {message}" if path else f"{where}: {message}"


def is_member(part: str | int) -> bool:
    return isinstance(part, int) or part.isidentifier()


def describe_yaml(path: Path, exc: Exception) -> str:
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark:
        return f"{path}:{exc.problem_mark.line + 1}: {exc.problem}"
    if isinstance(exc, RecursionError):
        return f"{path}: nested too deeply"
    return f"{path}: {' '.join(str(exc).split())}"


def names_pools(directories: Sequence[Path]) -> bool:
    """Tell whether the policy brings engines of its own. Raises: PolicyError."""
    joined, _ = join(read_all(directories))
    return bool(joined.get("pools"))
