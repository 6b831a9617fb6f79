"""What the ledger says, read beside the settle process as any reader may."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import RowMapping, text

from faults.stand import Tokens
from ledger.database import Database, open_database
from ledger.roots import FILE_NAME, read_roots
from ledger.signing import PUBLIC_NAME, load_verifier
from ledger.store import LedgerUnavailableError
from ledger.verify import verify

AMOUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens")
COUNTS = {"entry": "sum(requests)", "request": "count(*)", "usage_quarter": "sum(requests)"}
"""How the requests of each table are counted."""

SERVED = """
    SELECT endpoint, count(*) AS requests,
        coalesce(sum(prompt_tokens * coalesce(n, 1)), 0) AS prompt,
        coalesce(sum(completion_tokens), 0) AS completion,
        sum(CASE WHEN unsettled + estimated + cut = 0 AND status = 200 AND attempts = 1
            THEN 0 ELSE 1 END) AS doubtful
    FROM request GROUP BY endpoint"""


class Line(msgspec.Struct, frozen=True):
    """What is in force for one request, as far as it is compared."""

    settle_key: str
    request_id: str | None
    tenant: str | None
    endpoint: str | None
    n: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    status: int | None
    attempts: int | None
    unsettled: bool
    cut: bool


class Totals(msgspec.Struct, frozen=True):
    """Sums over one table; they must be the same in all of them."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Served(msgspec.Struct, frozen=True):
    """Everything that is booked for one endpoint."""

    requests: int
    tokens: Tokens
    """As the engine counts: a prompt once for each answer asked for."""
    doubtful: int
    """Rows that are unsettled, estimated, cut, refused or were tried again."""


class Books:
    """One ledger. Every method may raise LedgerUnavailableError."""

    def __init__(self, ledger: str) -> None:
        """Open what `--ledger` names: a path, or a database's URL. Raises: LedgerError."""
        self._database: Database = open_database(ledger)

    def close(self) -> None:
        self._database.close()

    def lines(self) -> Sequence[Line]:
        """Every request, as it stands now."""
        return msgspec.convert(self._all("SELECT * FROM request"), list[Line], strict=False)

    def request_ids(self) -> set[str | None]:
        """Requests that the ledger has, whatever it says of them. Empty: it says nothing now."""
        try:
            return {row["request_id"] for row in self._all("SELECT request_id FROM request")}
        except LedgerUnavailableError:
            return set()

    def open_requests(self) -> int:
        """How many requests were seen and have not ended."""
        (row,) = self._all("SELECT count(*) AS open FROM open_request")
        return int(row["open"])

    def totals(self) -> Mapping[str, Totals]:
        """Sums by table: all entries, those in force, and what reports are made from."""
        return {table: self._totals(table, count) for table, count in COUNTS.items()}

    def served(self) -> Mapping[str, Served]:
        """What each endpoint served, by endpoint."""
        return {
            str(row["endpoint"]): Served(
                int(row["requests"]),
                Tokens(int(row["prompt"]), int(row["completion"])),
                int(row["doubtful"]),
            )
            for row in self._all(SERVED)
        }

    def prove(self, state: Path) -> Sequence[str]:
        """Tell what `headgate ledger verify` finds: entries that were changed, lost or put in."""
        verifier = load_verifier(state / PUBLIC_NAME)
        found = verify(self._database, verifier, read_roots(state / FILE_NAME)).faults
        return [f"chain: {fault}" for fault in found]

    def _totals(self, table: str, count: str) -> Totals:
        sums = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in AMOUNTS)
        query = f"SELECT coalesce({count}, 0) AS requests, {sums} FROM {table}"  # noqa: S608 - names of ours
        (row,) = self._all(query)
        # PostgreSQL adds integers up to decimals.
        return Totals(**{name: int(value) for name, value in row.items()})

    def _all(self, query: str) -> Sequence[RowMapping]:
        with self._database.transaction() as connection:
            return connection.execute(text(query)).mappings().all()
