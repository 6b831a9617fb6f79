"""Tools: which one an answer has to call, left to itself none, and what is repeated of them.

Chat, Responses    tool_choice "required", or an object that names a function
Messages           tool_choice {"type": "any"}, or {"type": "tool", "name": ...}
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from engines.sim.refusal import RefusedError
from engines.sim.schema import FunctionTool, field_of


class _Named(Struct):
    name: str | None = None


class _Tool(_Named):
    """Chat has the name in `function`, the other two beside the type."""

    function: _Named | None = None


class _Choice(_Tool):
    type: str = ""


def forced_call(tools: Raw, choice: Raw) -> str:
    """The name of the tool, or nothing."""
    if not tools or not choice:
        return ""
    offered = _read(tools, list[_Tool] | None, "tools")
    chosen = _read(choice, str | _Choice | None, "tool_choice")
    match chosen:
        case _Choice(type="function" | "tool"):
            return _name(chosen)
        case "required" | _Choice(type="any"):
            return _name(offered[0]) if offered else ""
        case _:
            return ""


def repeated(tools: Raw) -> list[FunctionTool]:
    """What `/v1/responses` says in its answer of the tools it was given."""
    return _read(tools, list[FunctionTool] | None, "tools") or []


def _read(raw: Raw, shape: Any, member: str) -> Any:  # noqa: ANN401 - a type form, and its value
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as wrong:
        field = field_of(str(wrong)).replace("body", f"body.{member}", 1)
        raise RefusedError.malformed(str(wrong), field) from None


def _name(tool: _Tool) -> str:
    return tool.name or (tool.function.name if tool.function else None) or ""
