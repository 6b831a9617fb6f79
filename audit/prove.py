"""Proving an export without the store: `headgate audit verify --export DIR`.

Each file is what its signed manifest says, its records follow from each other, the files follow from
each other, and where there is a root, the chain stood as it says.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from audit import sheets
from audit.manifest import Sheet, is_signed, load
from audit.tables import CHAIN_NAME
from audit.walk import Walk
from ledger.manifest import ExportError, fingerprint
from ledger.roots import Root, Standing, read_document
from ledger.signing import Verifier
from ledger.store import LedgerError
from ledger.walk import Fault


class Proof(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    files: int
    records: int
    first_seq: int
    last_seq: int
    head: str
    """Hash of the last record."""
    roots: int
    """That speak of records in these files, and were compared."""
    faults: tuple[Fault, ...]


def prove(directory: Path, verifier: Verifier, outside: Iterable[Root] = ()) -> Proof:
    """Verify a whole export: about 10 us a record. Raises OSError when it cannot be read."""
    faults: list[Fault] = []
    try:
        known = load(directory)
    except ExportError as fault:
        known, faults = (), [Fault(str(fault))]
    if not known and not faults:
        faults.append(Fault(f"{directory} holds no export"))
    heads: dict[int, str] = {}
    before: Sheet | None = None
    for signed, sheet in known:
        if is_signed(signed, verifier):
            faults += _follow(sheet, before)
            faults += _walk(directory, sheet, heads)
        else:  # nothing that it says can be believed
            whose = "by its key" if verifier.knows(signed.key_id) else "by a key we know"
            faults.append(Fault(f"{sheet.file}: its manifest is not signed {whose}"))
        before = sheet
    roots = 0
    for root in outside:
        found = _compare_root(root, heads, verifier)
        roots += found is not None
        faults += [Fault(found, root=root.id)] if found else []
    return Proof(
        files=len(known),
        records=sum(sheet.rows for _, sheet in known),
        first_seq=known[0][1].first_seq if known else 0,
        last_seq=before.last_seq if before else 0,
        head=before.head if before else "",
        roots=roots,
        faults=tuple(faults),
    )


def _follow(sheet: Sheet, before: Sheet | None) -> Iterable[Fault]:
    if before is None:
        return
    if sheet.first_seq != before.last_seq + 1:
        missing = f"{before.last_seq + 1} to {sheet.first_seq - 1}"
        yield Fault(f"before {sheet.file}: records {missing} are missing")
    elif sheet.previous != before.head:
        yield Fault(f"{sheet.file}: it does not follow from {before.file}")


def _walk(directory: Path, sheet: Sheet, heads: dict[int, str]) -> Iterable[Fault]:
    """Walk over the records of a file, and note the hash of each for the roots."""
    path = directory / sheet.file
    try:
        if path.name != sheet.file or fingerprint(path) != (sheet.bytes, sheet.sha256):
            yield Fault(f"{sheet.file}: not what was exported")
    except FileNotFoundError:
        yield Fault(f"{sheet.file}: missing")
        return
    walk = Walk(
        Standing(CHAIN_NAME, sheet.last_seq, sheet.head, sheet.first_seq - 1, sheet.previous, 0)
    )
    try:
        for values in sheets.read(path, sheet.format):
            walk.entry(values)
            heads[walk.link.length] = walk.link.head.hex()
    except (ValueError, TypeError, KeyError) as fault:
        yield Fault(f"{sheet.file}: it cannot be read: {fault}")
    if (walk.link.length, walk.link.head.hex()) != (sheet.last_seq, sheet.head):
        yield Fault(f"{sheet.file}: its last record is another than its manifest says")
    for found in walk.faults:
        yield msgspec.structs.replace(found, what=f"{sheet.file}: {found.what}")


def _compare_root(root: Root, heads: Mapping[int, str], verifier: Verifier) -> str | None:
    """Compare a root; None when it says nothing of these records, "" when it agrees."""
    try:
        document = read_document(root.document)
    except LedgerError as fault:
        return str(fault)
    if len(document.chains) != 1 or document.chains[0].tenant != CHAIN_NAME:
        return "a root, but not of audit records"
    if document.entries not in heads:
        return None
    if not verifier.is_signed(root.document, root.signature, root.key_id):
        return "not signed by a key we know"
    if heads[document.entries] != document.chains[0].head:
        return f"another record {document.entries} than the root says"
    return ""
