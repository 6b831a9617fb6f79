"""Walking along the chains: is every entry what it was, and where the roots say it was? Pure.

Entries are walked in the order of `seq`, which is that of every chain at once. A root names the
last `seq` it covers, so at that point of the walk every chain has to stand as the root says.
"""

from collections.abc import Iterable, Iterator
from typing import cast

import msgspec

from ledger.booking import Values
from ledger.chain import Content, Link, entry_hash
from ledger.roots import Document, Root, Standing, document_hash, read_document
from ledger.signing import Verifier
from ledger.store import LedgerError
from ledger.tables import ENTRY
from ledger.trimmed import Trimmed

_NAMES = [column.name for column in ENTRY.c]
_SEQ, _KEY, _TENANT = (_NAMES.index(name) for name in ("seq", "settle_key", "tenant"))
_CHAIN_SEQ = _NAMES.index("chain_seq")


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is not as it was written."""

    what: str
    chain: str | None = None
    """Tenant; '' is nobody known."""
    seq: int | None = None
    """The entry."""
    settle_key: str | None = None
    root: int | None = None


class Roots:
    """Walks along the roots themselves."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._previous = ""
        self.hashes: dict[int, str] = {}
        """Of the documents, by id."""

    def follow(self, root: Root) -> tuple[Document | None, Fault | None]:
        """Check the next root. Its document is None when nothing in it can be believed."""
        previous, nth = self._previous, len(self.hashes) + 1
        self._previous = self.hashes[nth] = document_hash(root.document)
        if root.id != nth:
            return None, Fault(f"root {nth} is missing", root=root.id)
        try:
            document = read_document(root.document)
        except LedgerError as fault:
            return None, Fault(str(fault), root=root.id)
        signed = self._verifier.is_signed(root.document, root.signature, root.key_id)
        said = document.id, document.at_ms, document.key_id
        if not signed:
            whose = "by its key" if self._verifier.knows(root.key_id) else "by a key we know"
            return None, Fault(f"not signed {whose}", root=root.id)
        if said != (root.id, root.at_ms, root.key_id):
            return None, Fault("its columns differ from what was signed", root=root.id)
        if document.previous != previous:
            return document, Fault("it does not follow from the root before", root=root.id)
        return document, None

    def compare(self, outside: Root) -> Fault | None:
        """Compare a root that was kept elsewhere, after all stored ones."""
        stored = self.hashes.get(outside.id)
        if stored == document_hash(outside.document):
            return None
        if not self._verifier.is_signed(outside.document, outside.signature, outside.key_id):
            return Fault("kept outside, but not signed by a key we know", root=outside.id)
        if stored is None:
            return Fault("kept outside, and missing in the ledger", root=outside.id)
        return Fault("not the one that was kept outside", root=outside.id)


def in_order(
    entries: Iterator[Values], stored: Iterable[Values], roots: Roots
) -> Iterator[Values | Document | Fault]:
    """Hand out entries, which come by `seq`, and behind those that it covers what each root says: its
    document if that can be believed, and its fault if it has one."""
    ahead = next(entries, None)
    for values in stored:
        document, fault = roots.follow(_read_root(values))
        if fault is not None:
            yield fault
        if document is None:
            continue
        while ahead is not None and _seq(ahead) <= document.entries:
            yield ahead
            ahead = next(entries, None)
        yield document
    if ahead is not None:
        yield ahead
    yield from entries


def _seq(entry: Values) -> int:
    seq = entry[0]
    return seq if isinstance(seq, int) else 0


def _read_root(values: Values) -> Root:
    """Read a stored root; what is of a wrong type comes out as nothing that could be signed."""
    id_, at_ms, document, signature, key_id = values
    return Root(
        id_ if isinstance(id_, int) else 0,
        at_ms if isinstance(at_ms, int) else 0,
        str(document),
        signature if isinstance(signature, bytes) else b"",
        str(key_id),
    )


class Walk:
    """The state of one walk. After the first fault of a chain the rest of it proves nothing."""

    def __init__(self, stored: Iterable[Standing]) -> None:
        """`stored` is the table `chain`."""
        self._stored = {standing.tenant: standing for standing in stored}
        self._links = {
            tenant: Link(standing.begin, bytes.fromhex(standing.begin_hash) or Link().head)
            for tenant, standing in self._stored.items()
        }
        self._signed: dict[str, Standing] = {}
        """What the last root says, by tenant."""
        self.faults: dict[str, Fault] = {}
        """The first of each chain."""

    def entry(self, values: Values) -> None:
        """Walk over one entry: about 4 us."""
        *content, hash_ = values
        tenant = content[_TENANT]
        chain = "" if tenant is None else str(tenant)
        if chain in self.faults:
            return
        link = self._links.get(chain, Link())
        if content[_CHAIN_SEQ] != link.length + 1:
            what = f"chain_seq is {content[_CHAIN_SEQ]!r}, {link.length + 1} should follow"
        elif bytes in map(type, content) or not isinstance(hash_, bytes):
            what = "a column is of another type"
        elif entry_hash(link.head, cast("Content", content)) != hash_:
            what = "its hash does not follow from its columns and the entry before"
        else:
            self._links[chain] = Link(link.length + 1, hash_)
            return
        seq = content[_SEQ]
        assert isinstance(seq, int)
        self.faults[chain] = Fault(what, chain, seq, str(content[_KEY]))

    def root(self, document: Document) -> None:
        """Compare where the chains stand, when all entries up to `document.entries` are walked."""
        self._signed = {standing.tenant: standing for standing in document.chains}
        for standing in document.chains:
            begin = self._begin(standing.tenant)
            link = self._links.get(standing.tenant, Link())
            if standing.length < begin:
                continue  # deleted since, with all that it could be compared with
            if link.length != standing.length:
                what = f"{link.length} entries where the root says {standing.length}"
            elif link.head.hex() != standing.head:
                what = f"another entry {link.length} than the root says"
            else:
                continue
            self._blame(Fault(what, standing.tenant, root=document.id))
        for chain in self._links.keys() - self._signed.keys():
            if self._links[chain].length > self._begin(chain):
                self._blame(Fault("entries that the root does not know", chain, root=document.id))

    def end(self) -> None:
        """Compare with what the table `chain` says, when everything is walked."""
        for chain, link in self._links.items():
            stored = self._stored.get(chain)
            if stored is None:
                self._blame(Fault("entries, and no row in the table chain", chain))
            elif (stored.length, stored.head) != (link.length, link.head.hex()):
                what = f"{link.length} entries where the table chain says {stored.length}"
                if stored.length == link.length:
                    what = "another last entry than the table chain says"
                self._blame(Fault(what, chain))
            elif _beginning(stored) != _beginning(self._signed.get(chain)):
                self._blame(Fault("entries were deleted, and no root says so", chain))

    def _begin(self, chain: str) -> int:
        stored = self._stored.get(chain)
        return 0 if stored is None else stored.begin

    def _blame(self, fault: Fault) -> None:
        assert fault.chain is not None
        self.faults.setdefault(fault.chain, fault)


def _beginning(standing: Standing | None) -> tuple[int, str, int, Trimmed | None]:
    if standing is None:
        return 0, "", 0, None
    return standing.begin, standing.begin_hash, standing.begin_ms, standing.trimmed
