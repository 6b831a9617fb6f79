"""A whole store is verified; then one thing in it is changed, again and again."""

import random
import shutil
import sqlite3

import pytest

from audit.verify import Verdict, verify
from ledger.database import new_database
from ledger.signing import load_signer
from ledger.store import LedgerError
from tests.audit.stores import auditing, fill, reading, roots_of, unguarded, verifier_of


def verdict_of(where, state, outside=()):
    with reading(where) as database:
        return verify(database, verifier_of(state), outside)


def test_what_nobody_touched_is_as_it_was(where, tmp_path):
    fill(where, tmp_path)
    verdict = verdict_of(where, tmp_path, roots_of(tmp_path))
    assert verdict == Verdict(records=33, roots=5, unsigned=3, trimmed=0, faults=())


def test_an_empty_store_is_as_it_was(where, tmp_path):
    with auditing(where, tmp_path):
        assert verdict_of(where, tmp_path) == Verdict(0, 0, 0, 0, ())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    state = tmp_path_factory.mktemp("original")
    fill(state / "audit.sqlite", state)
    return state


class Tamperer:
    """Somebody who may write the database file and does not have the key."""

    TABLES = (*["audit_entry"] * 8, "audit_root", "audit_chain")

    def __init__(self, path, seed):
        self.rng = random.Random(seed)
        self.db = unguarded(path)

    def change_one_byte(self):
        """Change one bit of one value of one row, or put something where nothing was."""
        while True:
            table = self.rng.choice(self.TABLES)
            columns = [row[1].decode() for row in self.db.execute(f"PRAGMA table_info({table})")]
            column = self.rng.choice(columns)
            rowids = [row[0] for row in self.db.execute(f"SELECT rowid FROM {table}")]
            rowid = self.rng.choice(rowids)
            query = f'SELECT "{column}" FROM {table} WHERE rowid = ?'
            (value,) = self.db.execute(query, (rowid,)).fetchone()
            update = f'UPDATE {table} SET "{column}" = ? WHERE rowid = ?'
            try:
                self.db.execute(update, (self.changed(value, column), rowid))
            except sqlite3.IntegrityError:
                continue
            return f"{table}.{column} of {rowid}"

    def changed(self, value, column):
        if value is None:
            return self.rng.choice([b"x", "x"])
        if isinstance(value, int):
            return value ^ 1 << self.rng.randrange(8)
        spoiled = bytearray(value or b"\0")
        spoiled[self.rng.randrange(len(spoiled))] ^= 1 << self.rng.randrange(7)
        is_blob = column in ("hash", "head", "signature", "begin_hash")
        return bytes(spoiled) if is_blob else spoiled.decode("latin-1")


@pytest.mark.parametrize("seed", range(100))
def test_one_byte_anywhere_is_found(original, tmp_path, seed):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    tamperer = Tamperer(tmp_path / "audit.sqlite", seed)
    place = tamperer.change_one_byte()
    tamperer.db.close()
    assert verdict_of(tmp_path / "audit.sqlite", tmp_path).faults, place


COPY = "INSERT INTO audit_entry SELECT 99, collected_ms, 'copy', place, at_ms, action, actor, object, outcome, tenant, request_id, settle_key, members, hash FROM audit_entry WHERE seq = 33"
SWAP = """
    UPDATE audit_entry SET seq = CASE seq WHEN 4 THEN -1 WHEN 7 THEN 4 END WHERE seq IN (4, 7);
    UPDATE audit_entry SET seq = 7 WHERE seq = -1"""
WHOLE = {
    "a record removed": ("DELETE FROM audit_entry WHERE seq = 20", 21, "removed: 20"),
    "some removed": ("DELETE FROM audit_entry WHERE seq IN (5, 6)", 7, "removed: 5 to 6"),
    "the first removed": ("DELETE FROM audit_entry WHERE seq = 1", 2, "removed: 1"),
    "two swapped": (
        SWAP,
        4,
        "changed or moved",
    ),
    "one copied": (COPY, 99, "inserted"),
    "the end cut off": ("DELETE FROM audit_entry WHERE seq > 30", None, "the records end with 30"),
    "a root gone": ("DELETE FROM audit_root WHERE id = 3", None, "root 3 is missing"),
    "no chain": ("DELETE FROM audit_chain", None, "table audit_chain"),
    "two chains": ("INSERT INTO audit_chain VALUES ('x', 0, x'', 0, NULL, 0, NULL)", None, "table"),
    "a chain of nonsense": ("UPDATE audit_chain SET length = 'x'", None, "table audit_chain"),
    "the guard off": ("UPDATE audit SET trimming = 1", None, "table audit: the guard"),
    "sums": (
        """UPDATE audit_chain SET trimmed = '{"requests":1}'""",
        None,
        "table audit_chain",
    ),
    "text that is none": (
        "UPDATE audit_entry SET actor = CAST(x'ff41' AS TEXT) WHERE seq = 9", None, "what is stored"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "seq", "what"), WHOLE.values(), ids=WHOLE)
def test_whatever_else_is_done_is_found_and_named(original, tmp_path, statements, seq, what):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    db = unguarded(tmp_path / "audit.sqlite")
    db.executescript(statements)
    db.close()
    faults = verdict_of(tmp_path / "audit.sqlite", tmp_path).faults
    assert any(fault.what.startswith(what) and fault.seq == seq for fault in faults), faults


def test_only_roots_kept_outside_show_that_the_newest_are_gone(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "audit.sqlite"
    db = unguarded(path)
    db.executescript(
        "DELETE FROM audit_entry WHERE seq > 12; DELETE FROM audit_root WHERE id > 2;"
        "UPDATE audit_chain SET (length, head) = (SELECT seq, hash FROM audit_entry WHERE seq = 12)"
    )
    db.close()
    assert verdict_of(path, tmp_path).faults == ()
    faults = verdict_of(path, tmp_path, roots_of(tmp_path)).faults
    assert [fault.root for fault in faults] == [3, 4, 5]


def test_a_history_signed_with_another_key_is_not_ours(original, tmp_path):
    load_signer(tmp_path)
    ours = verifier_of(tmp_path)
    with reading(original / "audit.sqlite") as database:
        faults = verify(database, ours).faults
    assert {fault.what for fault in faults} == {"not signed by a key we know"}


def test_a_damaged_file_is_no_proof_of_anything(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "audit.sqlite"
    content = bytearray(path.read_bytes())
    middle = content.find(b"rule-9") & ~4095
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    assert verdict_of(path, tmp_path).faults


def test_what_cannot_be_read_now_is_no_verdict(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    database = new_database(tmp_path)  # a directory
    with pytest.raises(LedgerError):
        verify(database, verifier_of(tmp_path))
    database.close()


def test_columns_of_another_type_are_faults(original, tmp_path):
    """A root whose columns are no numbers and no bytes is not signed, and no crash."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    db = unguarded(tmp_path / "audit.sqlite")
    db.execute("UPDATE audit_root SET at_ms = 'x', signature = 'y' WHERE id = 2")
    db.close()
    faults = verdict_of(tmp_path / "audit.sqlite", tmp_path).faults
    assert [(fault.root, fault.what) for fault in faults] == [(2, "not signed by its key")]


def test_the_same_in_postgresql(postgres, tmp_path):
    address = postgres.new_schema()
    fill(address, tmp_path)
    database = new_database(address)
    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_entry DISABLE TRIGGER ALL")
        connection.exec_driver_sql("UPDATE audit_entry SET actor = 'x' WHERE seq = 3")
        connection.exec_driver_sql("DELETE FROM audit_entry WHERE seq = 20")
    database.close()
    faults = verdict_of(address, tmp_path).faults
    assert [fault.seq for fault in faults] == [3, 21]
