"""A directory in memory, for files that are mapped and that nobody needs after a restart.

Workers count into mapped files. Where a full disk has no room for a page that is touched for the first
time, the kernel ends the process (SIGBUS), and its successors, too: a full disk would take the
gateway with it. Memory is not full when the disk is.
"""

import os
import shutil
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is for its owner alone
LEAST_BYTES = 32 * 1024 * 1024
"""Free in memory, or the disk is the better place: containers may have very little of it. A worker
needs one to three MiB."""


def keep_in_memory(path: Path, memory: Path = SHARED_MEMORY) -> bool:
    """Let `path` lead to an empty directory in memory; where there is none, it is one on disk.

    Raises: OSError.
    """
    let_go(path)
    if not has_room(memory):
        path.mkdir(mode=0o700)
        return False
    path.symlink_to(tempfile.mkdtemp(prefix="headgate-", dir=memory))
    return True


def has_room(memory: Path) -> bool:
    try:
        room = os.statvfs(memory)
    except OSError:
        return False
    return os.access(memory, os.W_OK) and room.f_bavail * room.f_frsize >= LEAST_BYTES


def let_go(path: Path) -> None:
    """Delete the directory with all that is in it, wherever it is. Raises: OSError."""
    if path.is_symlink():
        shutil.rmtree(path.readlink(), ignore_errors=True)  # not there after a reboot
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
