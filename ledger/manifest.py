"""What an export has written: `manifest.json`, so that the next one goes on and anybody can check.

A partition is a day in which entries were booked. Nothing is ever booked in the past, so a day that
is over stays as it is; a part that was written is never changed.
"""

from hashlib import file_digest
from pathlib import Path
from typing import Literal

import msgspec

from ledger.files import replacing

NAME = "manifest.json"
VERSION = 1


class ExportError(Exception):
    """An export cannot go on; the message says why."""


class Head(msgspec.Struct, frozen=True):
    """The last entry of a chain among those exported."""

    chain_seq: int
    hash: str


class Part(msgspec.Struct, frozen=True):
    """One file. Amounts are sums over its rows, reversals included."""

    file: str
    """Relative to the manifest."""
    rows: int
    bytes: int
    sha256: str
    first_seq: int
    last_seq: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: str
    usage_dates: dict[str, int]
    """Rows by the day their request arrived: the days whose sums this part changes."""


class Partition(msgspec.Struct, frozen=True):
    """One day."""

    complete: bool
    """Whether the day was over, so that no part will follow."""
    parts: tuple[Part, ...] = ()

    @property
    def last_seq(self) -> int:
        return max((part.last_seq for part in self.parts), default=0)


class Manifest(msgspec.Struct, frozen=True):
    """All that is in the directory."""

    format: Literal["csv", "parquet"]
    tz: str
    columns: tuple[str, ...]
    version: int = VERSION
    partitions: dict[str, Partition] = msgspec.field(default_factory=dict[str, Partition])
    """By date."""
    chains: dict[str, Head] = msgspec.field(default_factory=dict[str, Head])
    """By tenant, '' is nobody known."""


def load(directory: Path) -> Manifest | None:
    """Read what was exported before. Raises ExportError when it cannot be understood."""
    path = directory / NAME
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as fault:
        raise ExportError(f"{path} is no manifest of ours: {fault}") from fault
    if found.version != VERSION:
        raise ExportError(f"{path} has version {found.version}; this program writes {VERSION}")
    return found


def save(directory: Path, manifest: Manifest) -> None:
    with replacing(directory / NAME) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest, order="sorted")))


def fingerprint(path: Path) -> tuple[int, str]:
    """Tell size and SHA-256 of a file."""
    with path.open("rb") as file:
        return path.stat().st_size, file_digest(file, "sha256").hexdigest()
