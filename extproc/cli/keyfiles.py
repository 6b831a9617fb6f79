"""The files that keys of a policy stand in: changed one at a time, whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from extproc.policy import keyfile
from extproc.policy.identities import KeyPolicy
from extproc.policy.keyfile import EditError, Entry
from extproc.policy.load import load, load_sources, read_all
from extproc.policy.models import Policy
from ledger.snapshot import sync

NEW_FILE = "keys.yaml"
"""Where the first key of a policy goes that has none yet."""


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The files of a policy, whose keys are to be changed."""

    directories: Sequence[Path]
    policy: Policy

    def change(self, path: Path, edit: Callable[[str], str], meant: list[object]) -> None:
        """Edit one file, see that it means what was meant and that the whole policy still loads,
        and only then put it into place.

        Raises:
            EditError, PolicyError, OSError: Nothing was changed.
        """
        after = edit(path.read_bytes().decode("utf-8") if path.exists() else "")
        try:
            is_meant = keyfile.edited(after) == meant
        except yaml.YAMLError:
            is_meant = False
        if not is_meant:
            raise EditError(f"{path} is written in a way that cannot be changed from here")
        load_sources({**read_all(self.directories), path: after.encode()})
        write(path, after)

    def key(self, key_id: str) -> tuple[KeyPolicy, Path]:
        """Find a key and its file. Raises: EditError."""
        for key in self.policy.keys:
            if key.id == key_id:
                break
        else:
            raise EditError(f"there is no key {key_id!r}")
        for path in read_all(self.directories):
            if any(is_entry(each, key_id) for each in keys_in(path)):
                return key, path
        raise EditError(f"the key {key_id!r} stands in no file of its own")

    def file_for_new(self) -> Path:
        """Find the last file that has keys."""
        with_keys = [path for path in read_all(self.directories) if keys_in(path)]
        return with_keys[-1] if with_keys else self.directories[0] / NEW_FILE


@contextmanager
def changing(directories: Sequence[Path]) -> Generator[KeyFiles]:
    """Read a policy whose keys nobody else changes from here meanwhile: of two at once, the second would
    bring back a key that the first took out. Raises: PolicyError."""
    with ExitStack() as locks:
        for directory in sorted({each.resolve() for each in directories}):
            # Not there, which `load` says; or on NFS, which locks no directories.
            with suppress(OSError):
                lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
                locks.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield KeyFiles(directories, load(directories))


def is_entry(entry: object, key_id: str) -> bool:
    return isinstance(entry, dict) and cast("dict[str, object]", entry).get("id") == key_id


def keys_in(path: Path) -> list[object]:
    return keyfile.edited(path.read_bytes().decode("utf-8")) if path.exists() else []


def write(path: Path, text: str, sync: Callable[[Path], None] = sync) -> None:
    """Replace a file in one step: a worker that reads meanwhile sees the old or the new one. It stays whose it
    was: what root has changed must be read by workers that are not root. A power cut leaves the old or the new one,
    too."""
    real = path.resolve()
    draft = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        draft.write_bytes(text.encode())
        if real.exists():
            was = real.stat()
            with suppress(PermissionError):
                os.chown(draft, was.st_uid, was.st_gid)
            shutil.copymode(real, draft)
        sync(draft)
        draft.replace(real)
        with suppress(OSError):  # not every file system syncs directories, and by now it is written
            sync(real.parent)
    finally:
        draft.unlink(missing_ok=True)


def with_digest(entry: object, name: str, new: str, retired: Entry) -> object:
    """Say what an entry is to mean after `rotate`."""
    if not is_entry(entry, name):
        return entry
    known = cast("dict[str, object]", entry)
    before = cast("list[object]", known.get("retiring") or [])
    return {**known, "digest": new, "retiring": [*before, dict(retired)]}
