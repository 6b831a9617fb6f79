"""What was found on traces that the evaluation never meets: capacities, and settings of pickers.

`tuned.json` holds it. `python -m study.capacity` and `python -m study.tune` make it anew.
"""

from pathlib import Path

import msgspec

from extproc.routing.settings import PickerSettings

PATH = Path(__file__).with_name("tuned.json")
EVERYWHERE = "*"
"""Instead of a case: settings for all of them."""


class Setting(msgspec.Struct, frozen=True):
    """What differs from the defaults, and how it was chosen."""

    picker: str
    case: str
    changes: dict[str, float]
    """`weights.prefix` and the like."""
    tried: int
    gain: float
    """Change of the mean logarithm of p95 TTFT against the defaults on the tuning traces."""


class Tuned(msgspec.Struct, frozen=True):
    capacity: dict[str, float] = {}
    """Requests a second that eight endpoints complete when they have all they can do."""
    turns: dict[str, float] = {}
    """Requests of a thread, on average."""
    settings: tuple[Setting, ...] = ()

    def changes(self, picker: str, case: str) -> dict[str, float]:
        """What to set for a picker in a case."""
        for each in self.settings:
            if each.picker == picker and each.case in (case, EVERYWHERE):
                return each.changes
        return {}


def read(path: Path = PATH) -> Tuned:
    return msgspec.json.decode(path.read_bytes(), type=Tuned) if path.exists() else Tuned()


def write(tuned: Tuned, path: Path = PATH) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(tuned), indent=1) + b"\n")


def apply(settings: PickerSettings, changes: dict[str, float]) -> PickerSettings:
    """Set fields by their dotted names. Raises `AttributeError` for one there is not."""
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        was = getattr(settings, outer)
        if inner:
            number = type(getattr(was, inner))(value)
            made = msgspec.structs.replace(was, **{inner: number})
        else:
            made = type(was)(value)
        settings = msgspec.structs.replace(settings, **{outer: made})
    return settings
