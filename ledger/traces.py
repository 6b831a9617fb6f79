"""Where else a person's name may stand in the state directory, and when it will be gone from there."""

import json
import re
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

import msgspec

from ledger.journal import ROLL_S
from ledger.tail import COMPRESSED

_NAMED = "when the policy names this user no more"
_GONE = {
    "journal": f"when its requests have ended: within {ROLL_S / 3600:.0f} h, if there is traffic",
    "alerts": "when it is delivered; what was delivered is remembered for 40 days",
    "counters": "when the limits that count this user have run out",
    "policy": _NAMED,
    "envoy": _NAMED,
    "run": _NAMED,
}
_LEDGER = {f"ledger.sqlite{suffix}" for suffix in ("", "-wal", "-shm", ".writer")}


class Trace(msgspec.Struct, frozen=True):
    """One file that holds the name."""

    file: str
    """Below the state directory."""
    times: int
    gone: str
    """When, or by whom."""


def find_traces(state: Path, user: str) -> Iterator[Trace]:
    """Look for the name, as a whole word, in every file but the ledger itself. Raises OSError.

    Somebody of the same name in another tenant is found, too.
    """
    in_json = (msgspec.json.encode(user)[1:-1], json.dumps(user)[1:-1].encode())
    ways = {re.escape(text) for text in (user.encode(), *in_json)}
    word = re.compile(rb"(?<![\w@.-])(?:" + b"|".join(sorted(ways)) + rb")(?![\w@-])")
    for path in sorted(state.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.name in _LEDGER:
            continue
        if times := _count(path, word):
            yield Trace(str(path.relative_to(state)), times, _gone(path.relative_to(state)))


def _count(path: Path, word: re.Pattern[bytes]) -> int:
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return 0
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                return sum(1 for _ in word.finditer(content))
    except FileNotFoundError:  # journals and alerts come and go
        return 0


def _gone(path: Path) -> str:
    if path.parts[0] == "log" and path.suffix in COMPRESSED:
        return "when you delete it, or with the policy's retention"
    if path.parts[0] == "log" and path.name.startswith("access.jsonl"):
        return "when the ledger has read it and you ask again; unless it is no user there"
    if path.parts[0].startswith("audit"):
        return "with the retention of audit records: what was done stays on record until then"
    return _GONE.get(path.parts[0], "when you delete it")
