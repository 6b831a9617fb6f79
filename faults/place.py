"""Where the ledger of a case lies, and all that a fault may reach for."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from faults.server import Server, serving
from faults.stand import Stand
from faults.volume import mounted

VOLUME_BYTES = 16 * 1024 * 1024
"""Room for the ledger of a few thousand requests, and quickly filled."""
DISK_BYTES = 128 * 1024 * 1024
"""Room for all that a gateway writes, and for what it takes ahead."""


class Place(Enum):
    """Where a ledger may lie. By default it lies beside log and journal."""

    STATE = "in the state directory"
    DISK = "in the state directory, on a small disk"
    VOLUME = "on a small volume of its own"
    POSTGRESQL = "in PostgreSQL"


MOUNTED = frozenset({Place.DISK, Place.VOLUME})


@dataclass(frozen=True, slots=True)
class Site:
    """A running gateway and its ledger."""

    stand: Stand
    ledger: str
    """Path or URL."""
    _volume: Path | None = None
    _server: Server | None = None

    @property
    def volume(self) -> Path:
        assert self._volume is not None, "the case did not ask for one"
        return self._volume

    @property
    def server(self) -> Server:
        assert self._server is not None, "the case did not ask for one"
        return self._server


@contextmanager
def site_of(place: Place, root: Path) -> Generator[Site]:
    """Start a gateway below `root`, stop it at the end.

    Raises: StandError, VolumeError, ServerError.
    """
    state = root / "s"
    with ExitStack() as stack:
        match place:
            case Place.STATE:
                stand = stack.enter_context(Stand.running(state))
                yield Site(stand, str(stand.layout.ledger))
            case Place.DISK:
                disk = root / "disk"
                stack.enter_context(mounted(disk, DISK_BYTES))
                stand = stack.enter_context(Stand.running(disk / "s"))
                yield Site(stand, str(stand.layout.ledger), _volume=disk)
            case Place.VOLUME:
                volume = root / "volume"
                stack.enter_context(mounted(volume, VOLUME_BYTES))
                ledger = str(volume / "ledger.sqlite")
                stand = stack.enter_context(Stand.running(state, "--ledger", ledger))
                yield Site(stand, ledger, _volume=volume)
            case Place.POSTGRESQL:
                server = stack.enter_context(serving())
                stand = stack.enter_context(Stand.running(state, "--ledger", server.url))
                yield Site(stand, server.url, _server=server)
