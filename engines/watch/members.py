"""Tells whoever configures Envoy who the members of discovered pools are: one file, replaced as a whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from engines.watch.config import Pool, replace_file
from engines.watch.messages import Members
from telemetry.logs import Event, EventLog

NAME = "members.json"
"""Below `run` in the state directory."""

log = EventLog(__name__)


class MembersFile:
    """Written by the watch process alone."""

    def __init__(self, run: Path) -> None:
        self._path = run / NAME
        self._written: Mapping[str, Sequence[str]] | None = None

    def write(self, pools: Sequence[Pool], members: Members) -> None:
        """Replace it if anything has changed. Those that drain are left out: Envoy lets them end what
        they have."""
        found = {
            pool.name: sorted(m.endpoint for m in members.pools[pool.name] if m.state == "ready")
            for pool in pools
            if pool.discovered and pool.name in members.pools
        }
        if found == self._written:
            return
        try:
            replace_file(self._path, msgspec.json.encode(found))
        except OSError as fault:
            log.error(Event.MEMBERS_NOT_WRITTEN, reason=fault.strerror)
        else:
            self._written = found


def read_members(path: Path) -> Mapping[str, Sequence[str]]:
    """Read it; empty as long as there is none. Raises: OSError, msgspec.MsgspecError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(raw, type=dict[str, list[str]])
