import shutil

import msgspec
import pytest

from audit.export import Export, export
from audit.manifest import SUFFIX, Signed, sign, written
from audit.prove import prove
from audit.trim import Trimmer
from ledger.manifest import fingerprint
from ledger.signing import load_signer
from tests.audit.stores import DAY_MS, START_MS, auditing, fill, roots_of, verifier_of

DAYS = [f"2025-10-{day:02}-0000" for day in range(9, 14)]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Two exports of one store, one of each form."""
    state = tmp_path_factory.mktemp("original")
    fill(state / "audit.sqlite", state)
    with auditing(state / "audit.sqlite", state) as audit:
        for form in ("jsonl", "parquet"):
            wish = Export(state / form, form, now_ms=START_MS + 90 * DAY_MS)
            export(audit.database, audit.signer, wish, lambda _: None)
    return state


@pytest.fixture(params=["jsonl", "parquet"])
def made(originals, tmp_path, request):
    """A copy that may be spoiled."""
    shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
    return tmp_path / request.param


def faults_of(directory, outside=True):
    roots = roots_of(directory.parent) if outside else ()
    return [fault.what for fault in prove(directory, verifier_of(directory.parent), roots).faults]


def file(made, day):
    return made / f"{DAYS[day]}.{made.name}"


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def test_what_nobody_touched(made):
    proof = prove(made, verifier_of(made.parent), roots_of(made.parent))
    assert (proof.files, proof.records, proof.first_seq, proof.last_seq) == (5, 33, 1, 33)
    assert (proof.roots, proof.faults) == (5, ())


@pytest.mark.parametrize("where", range(20))
def test_one_byte_anywhere_is_found(made, where):
    files = sorted(path for path in made.iterdir() if path.name != ".lock")
    path = files[where % len(files)]
    content = bytearray(path.read_bytes())
    content[where * 7919 % (len(content) - 1)] ^= 1
    replace(path, bytes(content))
    assert faults_of(made, outside=False)


def test_a_missing_file_and_a_missing_day(made):
    file(made, 1).unlink()
    assert f"{DAYS[1]}.{made.name}: missing" in faults_of(made)
    (made / f"{DAYS[1]}{SUFFIX}").unlink()
    assert f"before {DAYS[2]}.{made.name}: records 7 to 12 are missing" in faults_of(made)


def test_a_file_of_another_day(made):
    replace(file(made, 1), file(made, 2).read_bytes())
    assert f"{DAYS[1]}.{made.name}: not what was exported" in faults_of(made)


def test_a_manifest_of_somebody_else(made, tmp_path_factory):
    path = made / f"{DAYS[3]}{SUFFIX}"
    sheet = msgspec.json.decode(path.read_bytes(), type=Signed).sheet()
    stranger = load_signer(tmp_path_factory.mktemp("stranger"))
    replace(path, written(sign(sheet, stranger)))
    assert faults_of(made) == [f"{sheet.file}: its manifest is not signed by a key we know"]


def test_a_history_written_anew_with_the_key_is_not_what_the_roots_say(originals, tmp_path):
    """Somebody who has the key makes another past, and exports that."""
    shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
    (tmp_path / "audit.sqlite").unlink()
    kept = roots_of(tmp_path)
    with auditing(tmp_path / "audit.sqlite", tmp_path) as audit:
        audit.write(*range(3, 33))
        wish = Export(tmp_path / "out", now_ms=START_MS + 90 * DAY_MS)
        export(audit.database, audit.signer, wish, lambda _: None)
    proof = prove(tmp_path / "out", verifier_of(tmp_path), kept)
    assert {fault.what.partition(" record ")[0] for fault in proof.faults} == {"another"}
    assert prove(tmp_path / "out", verifier_of(tmp_path)).faults == ()


def test_what_is_not_readable(made):
    path = made / f"{DAYS[0]}{SUFFIX}"
    replace(path, b"{")
    assert "is no manifest of ours" in faults_of(made)[0]


def test_a_broken_file_with_a_manifest_that_agrees(made):
    """Whoever has the key can sign a broken file; it is found all the same."""
    path = made / f"{DAYS[4]}{SUFFIX}"
    sheet = msgspec.json.decode(path.read_bytes(), type=Signed).sheet()
    replace(file(made, 4), b"{}\n")
    size, sha256 = fingerprint(file(made, 4))
    again = msgspec.structs.replace(sheet, bytes=size, sha256=sha256)
    replace(path, written(sign(again, load_signer(made.parent))))
    found = faults_of(made, outside=False)
    assert any("cannot be read" in what for what in found)
    assert any("its last record" in what for what in found)


def test_an_empty_directory_proves_nothing(made, tmp_path):
    assert faults_of(made.parent / "none") == [f"{tmp_path / 'none'} holds no export"]


def test_an_export_ends_where_what_is_left_begins(originals, tmp_path):
    """Trimmed or not, the export goes on to prove what it has, and the store says where it began."""
    shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
    with auditing(tmp_path / "audit.sqlite", tmp_path) as audit:
        Trimmer(audit.database, audit.signer).trim(START_MS + 2 * DAY_MS)
        audit.rooting.run()
    proof = prove(tmp_path / "jsonl", verifier_of(tmp_path), roots_of(tmp_path))
    assert (proof.roots, proof.faults) == (6, ())


def test_roots_of_something_else_say_so(made):
    (root, *_) = roots_of(made.parent)
    other = msgspec.structs.replace(root, document="{}")
    ledgers = msgspec.structs.replace(
        root, document=root.document.replace("headgate:audit", "acme")
    )
    verifier = verifier_of(made.parent)
    assert "no root document" in prove(made, verifier, [other]).faults[0].what
    assert prove(made, verifier, [ledgers]).faults[0].what == "a root, but not of audit records"
    forged = msgspec.structs.replace(root, signature=b"")
    assert prove(made, verifier, [forged]).faults[0].what == "not signed by a key we know"
