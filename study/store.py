"""Results of runs, one line of JSON each, so that a study that was stopped goes on where it was."""

import ast
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from extproc.routing.settings import DEFAULTS
from study.measure import Figures
from study.plan import OURS, PICKERS, Spec
from study.run import ASK_PREFIXES, ASK_RATES
from study.tuned import PATH as TUNED

MATTERS = ("engines.", "extproc.routing.", "study.")
SHOWS = {"plots", "tables", "judge", "results", "report", "stats", "store", "plan", "__main__"}
"""Of `study`: what chooses runs and shows them, and does not change any."""
USED_BY: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "engines.rates": ASK_RATES,
        "extproc.routing.speed": (OURS,),
        "extproc.routing.pickers.predicted_ttft": (OURS,),
        "extproc.routing.pickers.disaggregated": (),
        "extproc.routing.prefixes": ASK_PREFIXES,
        "extproc.routing.settings": (),  # what stands in it is looked at instead
    }
)
"""What not every picker asks: the others need not run again when it changes."""


class Line(msgspec.Struct, frozen=True):
    """One run of one state of the code."""

    code: str
    spec: Spec
    figures: Figures
    seconds: float
    """It took on this machine."""


def digest(picker: str) -> str:
    """Of all that figures depend on: code that `study.run` has imported, defaults, and what was tuned.
    A change of it makes earlier results worthless."""
    settings = msgspec.to_builtins(DEFAULTS)
    if picker != OURS:
        del settings["prediction"]
    found = hashlib.sha256(msgspec.json.encode(settings))
    found.update(TUNED.read_bytes() if TUNED.exists() else b"")
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(MATTERS) or module.__file__ is None:
            continue
        shows = name.startswith("study.") and name.rpartition(".")[2] in SHOWS
        if not shows and picker in USED_BY.get(name, PICKERS):
            found.update(without_words(Path(module.__file__).read_text()).encode())
    return found.hexdigest()[:16]


def without_words(source: str) -> str:
    """What of a source file does something: no comments, no docstrings, however it is formatted."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not is_text(each)]
    return ast.dump(tree)


def is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class Store:
    """One file. What was made by other code is not found in it."""

    def __init__(self, path: Path, code: Callable[[str], str] = digest) -> None:
        self._path, self._code = path, {picker: code(picker) for picker in PICKERS}

    def read(self) -> Mapping[Spec, Line]:
        """Everything there is of this code; a last line that was cut short is left out."""
        found: dict[Spec, Line] = {}
        if not self._path.exists():
            return found
        for text in self._path.read_bytes().splitlines():
            try:
                line = msgspec.json.decode(text, type=Line)
            except msgspec.DecodeError:
                continue
            if line.code == self._code.get(line.spec.picker):
                found[line.spec] = line
        return found

    def add(self, spec: Spec, figures: Figures, seconds: float) -> None:
        """Write one down."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(
                msgspec.json.encode(Line(self._code[spec.picker], spec, figures, seconds)) + b"\n"
            )
