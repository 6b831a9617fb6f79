"""Room on disk that is taken before it is needed.

A witness that cannot write is no witness: what is appended within reserved room does not fail when
the disk is full. The size of the file stays what it is, so readers notice nothing.
"""

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)
KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE of fallocate(2), which `os.posix_fallocate` does not know: without it the file
grows at once, and whoever appends begins behind the room instead of within it."""


def reserve(fd: int, room_bytes: int) -> bool:
    """Take room behind the end of a file that is open for writing; False when there is none.

    Costs some microseconds for what is reserved already. File systems that cannot reserve (some
    network ones) say False, too: then a full disk means what it always meant.
    """
    begin = ctypes.c_int64(os.fstat(fd).st_size)
    done: int = LIBC.fallocate64(fd, KEEP_SIZE, begin, ctypes.c_int64(room_bytes))
    return done == 0
