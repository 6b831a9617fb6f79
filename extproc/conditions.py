"""Conditions in CEL, the Common Expression Language: the only file that knows the library.

CEL has no loops but those over a list, no functions of its own and no side effects, so every
condition ends. Google's C++ implementation bounds what is left: 10 000 steps through lists and 32
levels of nesting, then it gives up, which is a fault. A comparison costs 3 us, four of them 6 us.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cel_expr_python import cel

from extproc.errors import ConditionError

Known = Mapping[str, str | int | bool | Sequence[str]]
"""A value for each of `VARIABLES`. Lists must be `list`: the library takes nothing else."""

VARIABLES: Mapping[str, type] = MappingProxyType(
    {
        "identity.tenant": str,
        "identity.project": str,
        "identity.user": str,
        "identity.groups": list,
        "identity.region": str,
        "identity.key_id": str,
        "request.operation": str,
        "request.model": str,
        "request.track": str,
        "request.stream": bool,
        "request.max_tokens": int,
        "request.client_ip": str,
        "time.hour": int,
        "time.weekday": int,
        "time.epoch": int,
    }
)
"""All that a condition may ask. Always there: what is not known is an empty text, 0 or false."""

MISTAKE = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<said>.*)")
NOISE = re.compile(r" \(in container ''\)| expecting \{.*\}$")
"""What the compiler adds for itself: its namespaces, and every token that could have followed."""


UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")


class Condition:
    """One expression, compiled."""

    def __init__(self, text: str) -> None:
        """Compile: 0.2 ms. Raises: ConditionError, with the column of the mistake."""
        self._text = text
        try:
            self._expression = declare().compile(text)
        except RuntimeError as exc:
            raise ConditionError(explain(str(exc))) from None
        if self._expression.return_type() != cel.Type.BOOL:
            raise ConditionError("is neither true nor false: a condition is a comparison")

    def holds(self, known: Known) -> bool:
        """Evaluate it.

        Raises:
            ConditionError: It has no value: a division by zero, an element that a list has not,
                more steps than are allowed.
        """
        try:
            found = self._expression.eval(data=known).value()  # most errors are values, too
        except RuntimeError as exc:
            found = exc
        if not isinstance(found, bool):
            raise ConditionError(f"{self._text!r} has no value: {found}")
        return found


def declare() -> cel.Env:
    """Declare the variables by their full names: then a member that does not exist is a mistake
    found by the compiler, where in a map it would be one found by a request."""
    kinds = {
        str: cel.Type.STRING,
        int: cel.Type.INT,
        bool: cel.Type.BOOL,
        list: cel.Type.List(cel.Type.STRING),
    }
    return cel.NewEnv(variables={name: kinds[kind] for name, kind in VARIABLES.items()})


def explain(said: str) -> str:
    """Keep what helps of the compiler's message: where, and what."""
    if "recursion limit" in said:
        return "is nested too deeply"
    found = MISTAKE.search(said)
    if found is None:
        return said.partition("\n")[0]
    line = "" if found["line"] == "1" else f"line {found['line']}, "
    told = NOISE.sub("", found["said"])
    return f"{line}column {found['column']}: {told}{suggest(told)}"


def suggest(told: str) -> str:
    """Name the variable that may have been meant."""
    unknown = UNDECLARED.search(told)
    if unknown is None:
        return ""
    members = {name.partition(".")[2]: name for name in VARIABLES}
    near = difflib.get_close_matches(unknown[1].rpartition(".")[2], members, n=1)
    return f"; did you mean {members[near[0]]!r}?" if near else ""
