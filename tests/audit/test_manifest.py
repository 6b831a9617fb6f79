import msgspec
import pytest

from audit.manifest import SUFFIX, Sheet, is_signed, load, once, sign, written
from ledger.manifest import ExportError
from ledger.signing import load_signer
from tests.audit.stores import verifier_of

SHEET = Sheet("a.jsonl", "jsonl", "2026-01-31", 3, 9, "f" * 64, 1, 3, "0" * 64, "1" * 64, 7)


def test_a_manifest_is_signed_as_a_whole(tmp_path):
    signed = sign(SHEET, load_signer(tmp_path))
    assert signed.sheet() == SHEET
    assert is_signed(signed, verifier_of(tmp_path))
    other = msgspec.structs.replace(
        signed, document=signed.document.replace('"rows":3', '"rows":4')
    )
    assert not is_signed(other, verifier_of(tmp_path))


def test_manifests_come_in_the_order_of_their_records(tmp_path):
    signer = load_signer(tmp_path)
    for name, first in (("a", 4), ("b", 1)):
        sheet = msgspec.structs.replace(SHEET, first_seq=first)
        (tmp_path / f"{name}{SUFFIX}").write_bytes(written(sign(sheet, signer)))
    assert [sheet.first_seq for _, sheet in load(tmp_path)] == [1, 4]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"document": "{}", "signature": "", "key_id": ""}']
)
def test_what_is_no_manifest_is_said_so(tmp_path, content):
    (tmp_path / f"x{SUFFIX}").write_bytes(content)
    with pytest.raises(ExportError, match="no manifest of ours"):
        load(tmp_path)


def test_a_file_is_written_once(tmp_path):
    path = tmp_path / "file"
    for _ in range(2):
        with once(path) as draft:
            draft.write_text("same")
    assert path.stat().st_mode & 0o777 == 0o444
    with pytest.raises(ExportError, match="something else"), once(path) as draft:
        draft.write_text("other")
    assert path.read_text() == "same"
    assert list(tmp_path.iterdir()) == [path]
