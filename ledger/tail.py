"""Follows log files from a stored offset, whatever happens to them meanwhile.

A file is recognised by its inode and its first line, not by its name: the inode survives a
rename, and the first line tells apart a file that got the number of a deleted one, or was
truncated and grew again. Its offset is stored by the ledger in the same transaction as the rows
made from it, so reading goes on exactly behind the last line that counts.

    rotated (renamed)   the old file is followed on under its new name, the new one from 0
    truncated           read again from 0; keys keep what was read before from counting twice
    copied              read as another file, and nothing of it counts twice, for the same reason
    moved or deleted    read to its end while open
    last line partial   left alone until its newline is there
    not there yet       looked for again at each poll
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

READ_BYTES = 1024 * 1024
"""Read from one file at once. Also the longest line: a longer one is handed out in pieces, which
nobody can read, rather than kept in memory. Envoy caps headers at 60 kB, so lines are below that."""

FIRST_LINE_BYTES = 4096
"""Of the first line, this much identifies a file; time and ids stand within it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its newline, and its place for good: `file_id:offset`."""

    place: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What one poll found."""

    lines: list[Line]
    caught_up: bool
    """Every file was read to its end."""


@dataclass(slots=True)
class Followed:
    """An open file and how far it has been read."""

    fd: int
    name: str
    file_id: str | None = None
    """None until its first line is complete."""
    offset: int = 0
    changed_ns: int = 0
    """When somebody last wrote to it, at our last look."""

    @property
    def inode(self) -> int:
        return os.fstat(self.fd).st_ino

    def size(self) -> int:
        return os.fstat(self.fd).st_size


class Tail:
    """Follows every file in `directory` whose name `matches`, those of the past included."""

    def __init__(
        self, directory: Path, matches: Callable[[str], bool], offsets: Mapping[str, int]
    ) -> None:
        """`offsets` are those of the last commit, by file id. They may name files of others."""
        self._directory = directory
        self._matches = matches
        self._known = dict(offsets)
        self._files: dict[int, Followed] = {}
        """By inode."""
        self.offsets: dict[str, int] = {}
        """How far each file has been handed out; to be committed with what came of it."""
        self.gone: set[str] = set()
        """File ids that nobody needs to remember; to be forgotten by the next commit."""
        self.truncated: list[str] = []
        """Names of files found truncated since the caller last cleared this."""

    def poll(self) -> Reading:
        """Read the whole lines that are new, at most `READ_BYTES` from each file. Raises OSError.

        Call it again only when the lines are safe: a file that is gone is given up then.
        """
        self._discover()
        lines: list[Line] = []
        caught_up = True
        for file in self.files():
            before = file.offset
            lines += self._read(file)
            caught_up = caught_up and file.offset - before < READ_BYTES // 2
        return Reading(lines, caught_up)

    def files(self) -> Iterator[Followed]:
        yield from list(self._files.values())

    def drop(self, file: Followed) -> None:
        """Close a file that is of no further use and forget its offset."""
        inode = file.inode
        os.close(file.fd)
        del self._files[inode]
        if file.file_id is not None:
            self._forget(file.file_id)

    def close(self) -> None:
        for file in self._files.values():
            os.close(file.fd)
        self._files.clear()

    def _discover(self) -> None:
        present, is_whole = self._present()
        for inode, name in present.items():
            if inode in self._files:
                self._files[inode].name = name
            else:
                self._open(name)
        for inode in self._files.keys() - present.keys():
            file = self._files[inode]
            # Until a successor is there, a moved file may still be written to.
            if present and is_whole and file.offset >= file.size():
                self.drop(file)

    def _present(self) -> tuple[dict[int, str], bool]:
        """List the names of matching files by inode, oldest name first; and say whether these are all:
        a file may be renamed under our eyes."""
        found: dict[int, str] = {}
        is_whole = True
        names: list[str] = []
        with suppress(FileNotFoundError):  # no directory yet
            names = os.listdir(self._directory)  # noqa: PTH208 - 20 times a second; Path.iterdir costs four times as much
        for name in filter(self._matches, sorted(names, reverse=True)):
            path = self._directory / name
            try:
                found[path.stat().st_ino] = name
            except FileNotFoundError:
                is_whole = is_whole and path.is_symlink()  # a link to nothing hides nothing
        return found, is_whole

    def _open(self, name: str) -> None:
        try:
            fd = os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # renamed since we looked; the next poll finds it
        file = Followed(fd, name)
        self._files[file.inode] = file

    def _read(self, file: Followed) -> Iterator[Line]:
        now = os.fstat(file.fd)
        # By size alone, one that was truncated and grew to the same size would have nothing new.
        is_same = now.st_size == file.offset and now.st_mtime_ns == file.changed_ns
        file.changed_ns = now.st_mtime_ns
        if is_same or not self._identify(file, now.st_size):
            return
        data = os.pread(file.fd, READ_BYTES, file.offset)
        whole = data.rfind(b"\n") + 1
        if whole == 0 and len(data) < READ_BYTES:
            return
        start = file.offset
        file.offset += whole or len(data)
        assert file.file_id is not None
        self.offsets[file.file_id] = file.offset
        yield from _lines(file.file_id, start, data[:whole] if whole else data + b"\n")

    def _identify(self, file: Followed, size: int) -> bool:
        """Make sure that we read the file we think we read; False when it cannot be told yet."""
        file_id = identify(file.fd)
        if file.file_id is not None and (file_id != file.file_id or size < file.offset):
            self._forget(file.file_id)
            self.truncated.append(file.name)
            file.file_id, file.offset = None, 0
        if file.file_id is None and file_id is not None:
            offset = self._known.get(file_id, 0)
            file.offset = offset if offset <= size else 0  # truncated while nobody followed
        file.file_id = file_id
        return file_id is not None

    def _forget(self, file_id: str) -> None:
        self.offsets.pop(file_id, None)
        self._known.pop(file_id, None)
        self.gone.add(file_id)


COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")


def rotations_of(name: str) -> Callable[[str], bool]:
    """Match a log and what rotation makes of it: `access.jsonl`, `access.jsonl.1`, `access.jsonl-2026`.

    Compressed ones are left alone; a rotation should compress with a delay of one turn.
    """

    def matches(other: str) -> bool:
        rest = other.removeprefix(name)
        rotated = rest != other and rest.startswith((".", "-")) and not other.endswith(COMPRESSED)
        return other == name or rotated

    return matches


def identify(fd: int) -> str | None:
    """Name a file for good; None until its first line is complete."""
    head = os.pread(fd, FIRST_LINE_BYTES, 0)
    end = head.find(b"\n") + 1
    if end == 0 and len(head) < FIRST_LINE_BYTES:
        return None
    digest = blake2b(head[: end or FIRST_LINE_BYTES], digest_size=8).hexdigest()
    return f"{os.fstat(fd).st_ino:x}-{digest}"


def _lines(file_id: str, start: int, data: bytes) -> Iterator[Line]:
    for text in data[:-1].split(b"\n"):
        yield Line(f"{file_id}:{start}", text)
        start += len(text) + 1


def is_finished(path: Path, read_to: Mapping[str, int]) -> bool:
    """Tell whether a file that nobody writes to was read to its end. Raises OSError."""
    with path.open("rb") as file:
        fd = file.fileno()
        offset = read_to.get(identify(fd) or "", 0)
        left = os.fstat(fd).st_size - offset
        # Without its end, a last line was cut off with the process that wrote it.
        return left < READ_BYTES and b"\n" not in os.pread(fd, left, offset)
