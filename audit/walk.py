"""Walking along the chain: is every record what it was, and where the roots say it was? Pure.

A walk does not end with the first fault: it goes on from what is stored, so that each record that
was changed, removed, inserted or moved is named.
"""

from collections.abc import Sequence
from typing import cast

from audit.tables import CHAIN_NAME, COLUMNS
from ledger.chain import Content, Link, entry_hash
from ledger.roots import Document, Standing
from ledger.walk import Fault

MOST_FAULTS = 100

Values = Sequence[object]

_NUMBERS = [COLUMNS.index(name) for name in ("seq", "collected_ms", "place", "at_ms")]
_ACTION, _SEQ = COLUMNS.index("action"), COLUMNS.index("seq")


class Walk:
    """The state of one walk."""

    def __init__(self, stored: Standing) -> None:
        """`stored` is the row of `audit_chain`."""
        self._stored = stored
        self.link = Link(stored.begin, bytes.fromhex(stored.begin_hash) or Link().head)
        self._signed: Standing | None = None
        self.faults: list[Fault] = []

    def entry(self, values: Values) -> None:
        """Walk over one record: about 5 us."""
        *content, hash_ = values
        seq = content[_SEQ]
        due = self.link.length + 1
        if not isinstance(seq, int) or seq < due:
            self._blame("not in its place: its number is none, or was there before", values)
            return
        if seq > self._stored.length:
            self._blame(f"inserted: the chain ends with {self._stored.length}", values)
            return
        if seq > due:
            missing = f"{due}" if seq == due + 1 else f"{due} to {seq - 1}"
            self._blame(f"removed: {missing}", values)
        elif why := _find_wrong(self.link.head, content, hash_):
            self._blame(why, values)
        head = hash_ if isinstance(hash_, bytes) else Link().head
        self.link = Link(seq, head)

    def root(self, document: Document) -> None:
        """Compare where the chain stands, when all records up to `document.entries` are walked."""
        if len(document.chains) != 1 or document.chains[0].tenant != CHAIN_NAME:
            self._add(Fault("a root, but not of audit records", root=document.id))
            return
        (standing,) = document.chains
        self._signed = standing
        if standing.length < self._stored.begin:
            return  # deleted since, with all that it could be compared with
        if self.link.length != standing.length:
            what = f"the records end with {self.link.length} where the root says {standing.length}"
            self._add(Fault(what, root=document.id))
        elif self.link.head.hex() != standing.head:
            what = f"another record {standing.length} than the root says"
            self._add(Fault(what, seq=standing.length, root=document.id))

    def end(self) -> None:
        """Compare with the table `audit_chain`, when everything is walked."""
        stored = self._stored
        if self.link.length != stored.length:
            what = f"the records end with {self.link.length}, {stored.length} were written"
            self._add(Fault(what))
        elif self.link.head.hex() != stored.head:
            self._add(Fault("another last record than was written", seq=stored.length))
        if _beginning(stored) != (_beginning(self._signed) if self._signed else (0, "", 0)):
            self._add(Fault("records were deleted, and no root says so"))

    def _blame(self, what: str, values: Values) -> None:
        seq, action = values[_SEQ], values[_ACTION]
        known = seq if isinstance(seq, int) else None
        self._add(Fault(what, seq=known, settle_key=str(action)))

    def _add(self, fault: Fault) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)


def _find_wrong(head: bytes, content: Values, hash_: object) -> str | None:
    """Say what is wrong with a record behind one of this hash."""
    for index, value in enumerate(content):
        if type(value) is not (int if index in _NUMBERS else str):
            return f"changed: {COLUMNS[index]} is of another type"
    try:
        wanted = entry_hash(head, cast("Content", content))
    except (UnicodeEncodeError, ValueError):
        return "changed: a column is no text"
    if hash_ != wanted:
        return "changed or moved: its hash does not follow from its columns and the record before"
    return None


def _beginning(standing: Standing) -> tuple[int, str, int]:
    return standing.begin, standing.begin_hash, standing.begin_ms
