"""Parts of JSON whose shape nobody has checked: taken for what they should be, or for nothing."""

from typing import Any, cast

Members = dict[str, Any]


def as_object(given: object) -> Members:
    """Return an object; an empty one for anything else."""
    return cast("Members", given) if isinstance(given, dict) else {}


def as_objects(given: object) -> list[Members]:
    """Return the objects of a list."""
    items = cast("list[object]", given) if isinstance(given, list) else []
    return [cast("Members", item) for item in items if isinstance(item, dict)]
