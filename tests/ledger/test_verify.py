"""A whole ledger is verified; then one thing in it is changed, again and again."""

import random
import shutil
import sqlite3

import pytest

from ledger.database import open_database
from ledger.roots import FILE_NAME, Rooting, read_roots
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.verify import Verdict, verify
from tests.ledger import books


def fill(where, state):
    """Three chains, corrections, five roots and a few entries behind the last."""
    ledger = open_ledger(where)
    database = open_database(where, writes=True)
    rooting = Rooting(database, load_signer(state), state / FILE_NAME, clock=lambda: 1_760_000_000)
    for n in range(30):
        tenant = ("acme", "globex", None)[n % 3]
        ledger.commit(Change(rows=[books.row(f"s{n}", tenant=tenant, user=f"u{n % 4}")]))
        if n % 5 == 4:
            late = books.row(f"s{n - 3}", tenant="acme", model="other")
            ledger.commit(Change(rows=[late], replaced=ledger.rows([late.settle_key])))
        if n % 6 == 3:
            rooting.run()
    ledger.close()
    database.close()


def verdict_of(where, state, outside=(), progress=lambda _done, _all: None):
    database = open_database(where)
    try:
        return verify(database, load_verifier(state / PUBLIC_NAME), outside, progress)
    finally:
        database.close()


def test_what_nobody_touched_is_as_it_was(where, tmp_path):
    fill(where, tmp_path)
    told = []
    outside = read_roots(tmp_path / FILE_NAME)
    verdict = verdict_of(where, tmp_path, outside, lambda done, all_: told.append((done, all_)))
    assert verdict == Verdict(entries=42, chains=3, roots=5, unsigned=4, faults=())
    assert told[-1] == (84, 84)


def test_an_empty_ledger_is_as_it_was(where, tmp_path):
    load_signer(tmp_path)
    open_ledger(where).close()
    assert verdict_of(where, tmp_path) == Verdict(0, 0, 0, 0, ())


def test_it_is_verified_while_it_is_written(where, tmp_path):
    fill(where, tmp_path)
    ledger = open_ledger(where)

    def go_on(_done, _all):
        ledger.commit(Change(rows=[books.row(f"later{ledger.position()}")]))

    assert verdict_of(where, tmp_path, progress=go_on).faults == ()
    ledger.close()
    assert verdict_of(where, tmp_path).unsigned > 4


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    state = tmp_path_factory.mktemp("original")
    fill(state / "ledger.sqlite", state)
    return state


class Tamperer:
    """Somebody who may write the database file and does not have the key."""

    def __init__(self, path, seed):
        self.rng = random.Random(seed)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.text_factory = bytes
        self.db.execute("PRAGMA ignore_check_constraints = ON")
        for trigger in ("entry_is_final", "entry_stays"):
            self.db.execute(f"DROP TRIGGER {trigger}")

    def change_one_byte(self):
        """Change one bit of one value of one row, or put something where nothing was."""
        while True:
            table = self.rng.choice(["entry"] * 8 + ["root", "chain"])
            columns = [row[1].decode() for row in self.db.execute(f"PRAGMA table_info({table})")]
            column = self.rng.choice(columns)
            rowids = [row[0] for row in self.db.execute(f"SELECT rowid FROM {table}")]
            rowid = self.rng.choice(rowids)
            query = f'SELECT "{column}" FROM {table} WHERE rowid = ?'
            (value,) = self.db.execute(query, (rowid,)).fetchone()
            update = f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?'
            try:
                self.db.execute(update, (self.changed(value, column, table), rowid))
            except sqlite3.IntegrityError:
                continue
            return f"{table}.{column} of {rowid}"

    def changed(self, value, column, table):
        if value is None:
            return self.rng.choice([0, 1, b"x", "x"])
        if isinstance(value, int):
            return value ^ 1 << self.rng.randrange(8)
        spoiled = bytearray(value or b"\0")
        spoiled[self.rng.randrange(len(spoiled))] ^= 1 << self.rng.randrange(7)
        is_blob = column in ("hash", "head", "signature", "begin_hash")
        return bytes(spoiled) if is_blob else spoiled.decode("latin-1")


@pytest.mark.parametrize("seed", range(100))
def test_one_byte_anywhere_is_found(original, tmp_path, seed):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    tamperer = Tamperer(tmp_path / "ledger.sqlite", seed)
    place = tamperer.change_one_byte()
    tamperer.db.close()
    faults = verdict_of(tmp_path / "ledger.sqlite", tmp_path).faults
    assert faults, place


SWAP = """
    UPDATE entry SET seq = CASE seq WHEN 4 THEN -1 WHEN 7 THEN 4 END WHERE seq IN (4, 7);
    UPDATE entry SET seq = 7 WHERE seq = -1"""
COLUMNS = ", ".join(f'"{name}"' for name in books.COLUMNS[2:])
COPY = f"INSERT INTO entry SELECT 99, 'copy', {COLUMNS} FROM entry WHERE seq = 42"
WHOLE = {
    "an entry removed": ("DELETE FROM entry WHERE seq = 20", None),
    "the first entry removed": ("DELETE FROM entry WHERE seq = 1", None),
    "two entries swapped": (SWAP, 4),
    "an entry copied": (COPY, 99),
    "the end cut off": ("DELETE FROM entry WHERE seq > 40", None),
    "a tenant gone": (
        "DELETE FROM entry WHERE tenant = 'acme'; DELETE FROM chain WHERE tenant = 'acme'",
        None,
    ),
    "a root gone": ("DELETE FROM root WHERE id = 3", None),
    "text that is none": ("UPDATE entry SET model = CAST(x'ff41' AS TEXT) WHERE seq = 9", None),
}


@pytest.mark.parametrize(("statements", "seq"), WHOLE.values(), ids=WHOLE)
def test_whatever_else_is_done_is_found(original, tmp_path, statements, seq):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    tamperer = Tamperer(tmp_path / "ledger.sqlite", 0)
    tamperer.db.executescript(statements)
    tamperer.db.close()
    faults = verdict_of(tmp_path / "ledger.sqlite", tmp_path).faults
    assert faults
    assert seq is None or seq in [fault.seq for fault in faults]


@pytest.mark.parametrize(
    "instead",
    [
        "CREATE VIEW usage AS SELECT * FROM was",
        "CREATE VIEW usage AS SELECT * FROM was WHERE tenant <> 'acme'",
        "CREATE TABLE usage AS SELECT * FROM was",
        "CREATE VIEW other AS SELECT * FROM was",
    ],
)
def test_a_view_that_would_show_something_else_is_found(original, tmp_path, instead):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    (made,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'usage'").fetchone()
    db.execute(made.replace("VIEW usage", "VIEW was"))
    db.execute("DROP VIEW usage")
    db.execute(instead)
    db.close()
    (fault,) = verdict_of(tmp_path / "ledger.sqlite", tmp_path).faults
    assert fault.what == "view usage is not as it was made"


def test_a_damaged_file_is_no_proof_of_anything(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    middle = content.find(b"10.0.0.1:8000") & ~4095
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    assert verdict_of(path, tmp_path).faults


def cut(path, root):
    """Go back to where `root` stood, and cover it up as well as one can without the key."""
    db = sqlite3.connect(path)
    (entries,) = db.execute(
        "SELECT json_extract(document, '$.entries') FROM root WHERE id = ?", (root,)
    ).fetchone()
    for trigger in ("entry_is_final", "entry_stays"):
        db.execute(f"DROP TRIGGER {trigger}")
    db.execute("DELETE FROM entry WHERE seq > ?", (entries,))
    db.execute("DELETE FROM root WHERE id > ?", (root,))
    db.execute(
        "UPDATE chain SET (length, head) = (SELECT chain_seq, hash FROM entry "
        "WHERE coalesce(entry.tenant, '') = chain.tenant ORDER BY seq DESC LIMIT 1)"
    )
    db.commit()
    db.close()


def test_only_roots_kept_outside_show_that_the_newest_are_gone(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "ledger.sqlite"
    cut(path, root=3)
    inside = verdict_of(path, tmp_path).faults
    assert {fault.what.partition(":")[0][:7] for fault in inside} == {"sums of"}
    outside = verdict_of(path, tmp_path, read_roots(tmp_path / FILE_NAME)).faults
    missing = [fault.root for fault in outside if "kept outside" in fault.what]
    assert missing == [4, 5]


def test_a_history_signed_with_another_key_is_not_ours(original, tmp_path):
    ours = load_verifier(original / PUBLIC_NAME)
    fill(tmp_path / "ledger.sqlite", tmp_path)
    database = open_database(tmp_path / "ledger.sqlite")
    faults = verify(database, ours).faults
    database.close()
    assert len(faults) == 5
    assert all("not signed by a key we know" in fault.what for fault in faults)


def test_the_same_in_postgresql(postgres, tmp_path):
    address = postgres.new_schema()
    fill(address, tmp_path)
    database = open_database(address, writes=True)
    changes = [
        ("UPDATE entry SET user = 'u-0' WHERE seq = 3", "globex"),
        ("UPDATE entry SET hash = hash || '\\x00' WHERE seq = 4", "acme"),
        ("DELETE FROM entry WHERE seq = 2", "globex"),
        ("UPDATE chain SET length = length - 1 WHERE tenant = ''", ""),
    ]
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE entry DISABLE TRIGGER ALL")
        for statement, _ in changes:
            connection.exec_driver_sql(statement.replace("user", '"user"'))
    database.close()
    faults = verdict_of(address, tmp_path).faults
    assert {chain for _, chain in changes} <= {fault.chain for fault in faults}
