"""A small disk of its own for the ledger, so that it can be filled without harm to anything else.

A tmpfs, mounted in a mount namespace of our own: nobody else sees it, and it vanishes with us
however we end. Root may make such a namespace; others get one inside a user namespace, where the
kernel allows those.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

WAYS = (
    ("unshare", "--mount"),
    ("unshare", "--user", "--map-current-user", "--keep-caps", "--mount"),
)
"""Commands that run another one in a mount namespace of its own, best first."""
PROBE_S = 20
MNT_DETACH = 2
"""umount2(2): away with it now, whoever still looks at it."""


class VolumeError(Exception):
    """Nothing can be mounted here."""


def find_way() -> Sequence[str]:
    """Find out which command lets us mount. Raises: VolumeError."""
    for way in WAYS:
        probe = (*way, sys.executable, "-m", "faults.volume")
        try:
            done = subprocess.run(probe, capture_output=True, timeout=PROBE_S, check=False)  # noqa: S603 - ours
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return way
    tried = " and ".join(" ".join(way) for way in WAYS)
    raise VolumeError(
        f"neither root's mount(2) nor a user namespace is allowed here (tried {tried})"
    )


@contextmanager
def mounted(path: Path, size_bytes: int) -> Generator[None]:
    """Mount an empty disk at `path`. Raises: VolumeError."""
    path.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    where = bytes(path)
    if libc.mount(b"faults", where, b"tmpfs", 0, f"size={size_bytes},mode=0700".encode()):
        raise VolumeError(f"mount {path}: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.umount2(where, MNT_DETACH)


class Ballast:
    """A file that takes all the room there is."""

    def __init__(self, volume: Path) -> None:
        self._path = volume / "ballast"

    def fill(self) -> None:
        """Leave not a byte free."""
        block = bytes(4096)
        with self._path.open("ab", buffering=0) as file:
            try:
                while file.write(block):
                    pass
            except OSError:
                return  # ENOSPC: full

    def throw_out(self) -> None:
        self._path.unlink(missing_ok=True)


def main() -> int:
    """See whether we may mount: the exit code says it."""
    with tempfile.TemporaryDirectory() as root:
        try:
            with mounted(Path(root) / "volume", 1 << 20):
                return 0
        except VolumeError:
            return 1


if __name__ == "__main__":
    sys.exit(main())
