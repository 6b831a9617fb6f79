"""Directories of YAML -> one `Policy`, or every mistake in them with its file and line."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.reader import ReaderError

from extproc.counting.vocabulary import Vocabularies
from extproc.errors import PolicyError
from extproc.policy.base import Place
from extproc.policy.counting import load_tokenizers
from extproc.policy.flaws import Flaw, FlawedPolicyError, Spot, Spots, explain_all, place_flaw
from extproc.policy.models import Policy
from extproc.policy.rest import check_rest
from extproc.policy.secrets import SecretReader, resolve
from extproc.safety.pii.engine import shipped

Sources = Mapping[Path, bytes]
MERGE_KEY = "<<"
LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""libyaml reads a thousand keys in 40 ms, Python takes 500 ms: workers load while they serve."""
MAX_DEPTH = 100
"""A policy has about six levels; libyaml bears some ten thousand."""
MAX_PARTS = 1_000_000
"""Of one file. 50 000 keys have as many; nested aliases reach it with ten lines."""


def load(
    directories: Sequence[Path],
    secrets: SecretReader | None = None,
    vocabularies: Vocabularies | None = None,
) -> Policy:
    """Join the YAML files of the directories, in order of their names. Without `secrets` and
    `vocabularies`, which read what it refers to, the policy can be looked at, but not served.

    Raises:
        PolicyError: With every mistake found, one a line: `file:line: place: what is wrong`.
    """
    return load_sources(read_all(directories), secrets, vocabularies)


def load_sources(
    sources: Sources,
    secrets: SecretReader | None = None,
    vocabularies: Vocabularies | None = None,
) -> Policy:
    """Load what was read. Raises: PolicyError."""
    joined, spots = join(sources)
    try:
        policy = Policy.model_validate(joined).at(version_of(sources), sources)
    except ValidationError as exc:
        found = explain_all(exc.errors(), Policy, spots)
        wrong = [*found.items(), *check_rest(joined, found.keys())]
    else:
        wrong = [*policy.dangling(), *(resolve(policy, secrets) if secrets else ())]
        if vocabularies is not None:
            named = [model.tokenizer for model in policy.models]
            wrong += load_tokenizers(named, vocabularies)
        if not wrong:
            if secrets is not None:
                policy.pii.own()
                if any(pool.upstream for pool in policy.pools):
                    shipped()  # what leaves is looked through, and not to begin with then
            return policy
    raise FlawedPolicyError([place_flaw(place, said, spots) for place, said in wrong]) from None


def read_all(directories: Sequence[Path]) -> Sources:
    """Read the files. Raises: PolicyError when one cannot be read, or a directory has none:
    a mount that vanished must not look like a policy without keys."""
    sources: dict[Path, bytes] = {}
    for directory in directories:
        try:
            paths = sorted(path for path in directory.iterdir() if is_policy(path.name))
            check_names(paths)
            sources.update((path, path.read_bytes()) for path in paths)
        except OSError as exc:
            raise PolicyError(f"{exc.filename or directory}: {exc.strerror}") from None
        if not paths:
            raise PolicyError(f"{directory}: no policy there (no *.yaml file)")
    return sources


def check_names(paths: Iterable[Path]) -> None:
    """See that what the files are called can be written down. Raises: PolicyError."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode("utf-8", "backslashreplace").decode()
            raise PolicyError(f"{shown}: the name is not UTF-8") from None


def is_policy(name: str) -> bool:
    """Dot files are editors' drafts and Kubernetes' links."""
    return name.endswith((".yaml", ".yml")) and not name.startswith(".")


def version_of(sources: Sources) -> str:
    """Hash the content; names of directories do not matter, so replicas agree."""
    whole = hashlib.sha256()
    for path, raw in sources.items():
        whole.update(f"{path.name}\0{len(raw)}\0".encode() + raw)
    return whole.hexdigest()[:12]


def join(sources: Sources) -> tuple[dict[str, object], Spots]:
    """Merge files: lists are joined, anything else may stand in one file only."""
    joined: dict[str, object] = {}
    spots: dict[Place, Spot] = {}
    flaws: list[Flaw] = []
    for path, raw in sources.items():
        try:
            check_depth(raw)
            node: yaml.Node | None = yaml.compose(raw, LOADER)
            if node is None:
                continue
            if repeated := list(Repeated(str(path)).find(node, frozenset())):
                flaws += repeated
                continue
            members: object = construct(node)
        except (yaml.YAMLError, ValueError, RecursionError) as exc:
            flaws.append(explain_yaml(path, raw, exc))
            continue
        if not isinstance(node, yaml.MappingNode) or not isinstance(members, dict):
            flaws.append(Flaw("a policy file is a mapping of sections", Spot(str(path), 1)))
            continue
        flaws += merge(joined, spots, str(path), node, cast("dict[str, object]", members))
    if flaws:
        raise FlawedPolicyError(flaws)
    return joined, spots


def check_depth(raw: bytes) -> None:
    """See that libyaml can make a tree of it: it recurses in C, and too deep a one is the end of
    the process. Events are made one by one.

    Raises:
        RecursionError, yaml.YAMLError: It cannot.
    """
    depth = 0
    for event in yaml.parse(raw, LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class Constructor(SafeConstructor):
    """Makes plain values only, no code runs, and says where one stands that cannot be made."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            # The stubs give no type to its parameter.
            made: object = super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType]
        except (ValueError, AttributeError, LookupError) as exc:  # the last two for `!!bool x`
            raise ConstructorError(None, None, explain_value(exc), node.start_mark) from None
        return made


def construct(node: yaml.Node) -> object:
    """Make values of what was parsed. It writes merged members (`<<`) into the node, so that a
    mistake in one is placed where it stands.

    Raises:
        yaml.YAMLError: There is no such value.
    """
    made: object = Constructor().construct_document(node)  # pyright: ignore[reportUnknownMemberType]
    return made


def explain_value(exc: Exception) -> str:
    if not isinstance(exc, ValueError):
        return "a value that is not of its tag's type"
    if "integer string conversion" in str(
        exc
    ):  # Python's bound, and its advice, is for programmers
        return "a number of too many digits"
    return str(exc)


class Repeated:
    """Finds members that stand twice in one mapping, where YAML would take the last, and aliases
    that contain themselves."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._left = MAX_PARTS

    def find(self, node: yaml.Node, above: frozenset[int]) -> Iterable[Flaw]:
        """Raises: RecursionError for absurd nesting, ValueError for aliases that multiply."""
        if len(above) > MAX_DEPTH:  # of aliases in aliases, which `check_depth` takes for flat
            raise RecursionError
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {MAX_PARTS} parts, aliases counted as often as they stand")
        spot = Spot(self._file, node.start_mark.line + 1)
        if id(node) in above:
            yield Flaw("an alias that contains itself", spot)
            return
        inside = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                if name in seen and name != MERGE_KEY:
                    line = key.start_mark.line + 1
                    yield Flaw(f"{name!r} stands twice in one mapping", Spot(self._file, line))
                seen.add(name)
                yield from self.find(value, inside)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self.find(item, inside)


def merge(
    joined: dict[str, object],
    spots: dict[Place, Spot],
    file: str,
    node: yaml.MappingNode,
    members: Mapping[str, object],
) -> Iterable[Flaw]:
    """Add one file, noting where each part of it stands."""
    for key_node, value_node in node.value:
        section = str(key_node.value)
        here = Spot(file, key_node.start_mark.line + 1)
        value = members.get(section)
        known = joined.get(section)
        if isinstance(value, list) and (known is None or isinstance(known, list)):
            before = cast("list[object]", known or [])
            joined[section] = [*before, *cast("list[object]", value)]
            for index, item in enumerate(value_node.value, start=len(before)):
                note(spots, (section, index), item, file)
        elif section in joined:
            there = spots[(section,)]
            yield Flaw(f"is already set at {there.file}:{there.line}", here, section)
            continue
        else:
            joined[section] = value
            note(spots, (section,), value_node, file)
        spots[(section,)] = here


def note(spots: dict[Place, Spot], place: Place, node: yaml.Node, file: str) -> None:
    spots[place] = Spot(file, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            note(spots, (*place, str(key_node.value)), value_node, file)
            spots[(*place, str(key_node.value))] = Spot(file, key_node.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            note(spots, (*place, index), item, file)


def explain_yaml(path: Path, raw: bytes, exc: Exception) -> Flaw:
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark:
        return Flaw(str(exc.problem), Spot(str(path), exc.problem_mark.line + 1))
    if isinstance(exc, ReaderError):  # no text: other characters than UTF-8 has, or invisible ones
        line = raw.count(b"\n", 0, exc.position) + 1
        return Flaw(exc.reason, Spot(str(path), line))
    said = " ".join(str(exc).split())
    if isinstance(exc, RecursionError):
        said = "nested too deeply"
    return Flaw(f"{path}: {said}")


def names_pools(directories: Sequence[Path]) -> bool:
    """Tell whether the policy brings engines of its own. Raises: PolicyError."""
    joined, _ = join(read_all(directories))
    return bool(joined.get("pools"))
