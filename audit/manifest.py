"""What an export has written: beside each file a signed manifest, so that anybody can check both.

Neither is ever written again. A file is for its whole life what its manifest says, and its manifest
what the key has signed; together the manifests go along the chain without a gap.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from ledger.manifest import ExportError, fingerprint
from ledger.signing import Signer, Verifier

SUFFIX = ".manifest.json"
VERSION = 1
READ_ONLY = 0o444

Form = Literal["jsonl", "parquet"]

_encode = msgspec.json.Encoder().encode


class Sheet(msgspec.Struct, frozen=True):
    """One file of records of one day. What is signed: this, as JSON, in this order."""

    file: str
    """Beside the manifest."""
    format: Form
    day: str
    """Of collection, in UTC."""
    rows: int
    bytes: int
    sha256: str
    first_seq: int
    last_seq: int
    previous: str
    """Hash of the record before the first, hexadecimal as all hashes here."""
    head: str
    """Hash of the last."""
    at_ms: int
    """When it was exported."""
    version: int = VERSION


class Signed(msgspec.Struct, frozen=True):
    """A manifest as it lies in the directory."""

    document: str
    """A sheet."""
    signature: bytes
    """Base64."""
    key_id: str

    def sheet(self) -> Sheet:
        """Raises msgspec.MsgspecError."""
        return msgspec.json.decode(self.document, type=Sheet)


def sign(sheet: Sheet, signer: Signer) -> Signed:
    document = _encode(sheet).decode()
    return Signed(document, signer.sign(document), signer.key_id)


def written(signed: Signed) -> bytes:
    """Write a manifest as it lies in the directory."""
    return _encode(signed) + b"\n"


def is_signed(signed: Signed, verifier: Verifier) -> bool:
    return verifier.is_signed(signed.document, signed.signature, signed.key_id)


def load(directory: Path) -> Sequence[tuple[Signed, Sheet]]:
    """Read all manifests, in the order of their records. Raises ExportError, OSError."""
    found: list[tuple[Signed, Sheet]] = []
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            content = path.read_bytes()
            signed = msgspec.json.decode(content, type=Signed)
            sheet = signed.sheet()
        except msgspec.MsgspecError as fault:
            raise ExportError(f"{path} is no manifest of ours: {fault}") from fault
        if written(signed) != content:
            raise ExportError(f"{path} is no manifest of ours: not in its canonical form")
        found.append((signed, sheet))
    return sorted(found, key=lambda each: each[1].first_seq)


@contextmanager
def once(path: Path) -> Generator[Path]:
    """Give a name to write to. What is there becomes `path`, for reading only, when the block is done.

    Raises ExportError when `path` is something else already, OSError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.chmod(READ_ONLY)
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            if fingerprint(path) != fingerprint(draft):
                raise ExportError(
                    f"{path} is there already and something else; nothing is ever written again"
                ) from None
    finally:
        draft.unlink(missing_ok=True)
