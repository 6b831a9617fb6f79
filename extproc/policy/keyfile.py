"""Changes to the keys in a policy's YAML: a few lines change, all others stay as they were written.

The text is cut where YAML's own parser says that an entry begins and ends, so comments, order,
quotes and indentation are kept. Whoever uses this checks that the result means what was meant
(`edited`): what is written too cleverly for it is refused, never damaged.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

import yaml

SECTION = "keys"
Entry = Mapping[str, object]


class EditError(ValueError):
    """The file is written in a way that is not to be changed from here; the message says what to do
    by hand."""


def append(text: str, entry: Entry) -> str:
    """Add an entry after the last one, or begin the section. Raises: EditError."""
    section = find_section(text)
    if section is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}{SECTION}:\n{render(entry, 2)}"
    if not section.value:
        start, end = section.start_mark.index, section.end_mark.index
        return f"{text[:start].rstrip(' ')}\n{render(entry, 2).rstrip()}{text[end:]}"
    check_block(section)
    last = section.value[-1]
    end = end_of_line(text, last_index(last))
    head = text[:end] if text[:end].endswith("\n") else f"{text[:end]}\n"
    return head + render(entry, dash_column(text, last)) + text[end:]


def remove(text: str, key_id: str) -> str:
    """Take an entry out, with the comments inside it. Raises: EditError."""
    section = require_section(text)
    item = find_item(section, key_id)
    check_block(section)
    start = text.rindex("\n", 0, dash_index(text, item)) + 1
    end = end_of_line(text, last_index(item))
    rest = text[:start] + text[end:]
    if len(section.value) > 1:
        return rest
    colon = text.rindex(":", 0, section.start_mark.index)
    colon = text.index(":", text.rindex(SECTION, 0, colon + 1))
    return f"{rest[: colon + 1]} []{rest[colon + 1 :]}"


def rotate(text: str, key_id: str, digest: str, until: datetime) -> str:
    """Give an entry a new digest, and let the old one retire. Raises: EditError."""
    item = find_item(require_section(text), key_id)
    old = member(item, "digest")
    if not isinstance(old, yaml.ScalarNode):
        raise EditError(f"the key {key_id!r} has no digest of its own")
    retired = f"{{digest: {quote(str(old.value))}, until: {moment(until)}}}"
    at, added = place_retired(text, item, old, retired)
    start, end = old.start_mark.index, old.end_mark.index
    changes = sorted([(start, end, quote(digest)), (at, at, added)], reverse=True)
    for begins, ends, new in changes:
        text = text[:begins] + new + text[ends:]
    return text


def place_retired(
    text: str, item: yaml.MappingNode, old: yaml.ScalarNode, retired: str
) -> tuple[int, str]:
    """Find where the retired digest goes, and how it is written there."""
    known = member(item, "retiring")
    if isinstance(known, yaml.SequenceNode) and known.value and not known.flow_style:
        last = known.value[-1]
        end = end_of_line(text, last_index(last))
        gap = "" if text[:end].endswith("\n") else "\n"
        return end, f"{gap}{' ' * dash_column(text, last)}- {retired}\n"
    if isinstance(known, yaml.SequenceNode) and known.flow_style:
        comma = ", " if known.value else ""
        return last_index(known) - 1, f"{comma}{retired}"
    if known is not None:
        raise EditError("`retiring` is not written as a list")
    if item.flow_style:
        return old.end_mark.index, f", retiring: [{retired}]"
    end = end_of_line(text, old.end_mark.index)
    gap = "" if text[:end].endswith("\n") else "\n"
    indent = " " * item.start_mark.column
    return end, f"{gap}{indent}retiring:\n{indent}  - {retired}\n"


def edited(text: str) -> list[object]:
    """Read the keys of one file, to compare what an edit made with what was meant."""
    members: object = yaml.safe_load(text)
    found = cast("dict[str, object]", members).get(SECTION) if isinstance(members, dict) else None
    return cast("list[object]", found) if isinstance(found, list) else []


def find_section(text: str) -> yaml.SequenceNode | None:
    """Find the list of keys; None when the file has none."""
    root: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return None
    found = member(root, SECTION) if isinstance(root, yaml.MappingNode) else None
    if found is not None and not isinstance(found, yaml.SequenceNode):
        raise EditError(f"`{SECTION}` is not written as a list")
    return found


def require_section(text: str) -> yaml.SequenceNode:
    section = find_section(text)
    if section is None:
        raise EditError(f"the file has no `{SECTION}`")
    return section


def find_item(section: yaml.SequenceNode, key_id: str) -> yaml.MappingNode:
    for item in section.value:
        if isinstance(item, yaml.MappingNode):
            named = member(item, "id")
            if isinstance(named, yaml.ScalarNode) and named.value == key_id:
                return item
    raise EditError(f"there is no key {key_id!r}")


def check_block(section: yaml.SequenceNode) -> None:
    if section.flow_style:
        raise EditError(f"`{SECTION}` stands in brackets: write each key on a line of its own")


def member(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
    return next((value for key, value in pairs if key.value == name), None)


def last_index(node: yaml.Node) -> int:
    """Find where the last character of a node ends. A block collection itself says it ends where
    the next thing begins, comments and all."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return last_index(node.value[-1][1])
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return last_index(node.value[-1])
    return node.end_mark.index


def end_of_line(text: str, index: int) -> int:
    """Find the start of the next line; of this one when it is there already."""
    if index and text[index - 1] == "\n":
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def dash_index(text: str, item: yaml.Node) -> int:
    return text.rindex("-", 0, item.start_mark.index)


def dash_column(text: str, item: yaml.Node) -> int:
    index = dash_index(text, item)
    return index - text.rfind("\n", 0, index) - 1


def render(entry: Entry, column: int) -> str:
    """Write an entry as an item of a list whose dashes stand in that column."""
    lines = [f"{name}: {quote(value)}" for name, value in entry.items()]
    first, *others = lines
    indent = " " * column
    return "".join([f"{indent}- {first}\n", *(f"{indent}  {line}\n" for line in others)])


def quote(value: object) -> str:
    """Write one value, in quotes where YAML would take it for something else."""
    if isinstance(value, datetime):
        return moment(value)
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return dumped.removesuffix("...\n").strip()


def moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
