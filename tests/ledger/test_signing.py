import pytest

from ledger.signing import PRIVATE_NAME, PUBLIC_NAME, load_signer, load_verifier
from ledger.store import LedgerError


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path):
    first, second = load_signer(tmp_path), load_signer(tmp_path)
    assert first.key_id == second.key_id
    assert (tmp_path / PRIVATE_NAME).stat().st_mode & 0o777 == 0o600
    assert len(first.key_id) == 16


def test_what_is_signed_can_be_verified_with_the_public_key_alone(tmp_path):
    signer = load_signer(tmp_path)
    verifier = load_verifier(tmp_path / PUBLIC_NAME)
    signature = signer.sign("document")
    assert verifier.is_signed("document", signature, signer.key_id)
    assert not verifier.is_signed("Document", signature, signer.key_id)
    assert not verifier.is_signed(
        "document", bytes([signature[0] ^ 1]) + signature[1:], signer.key_id
    )
    assert not verifier.is_signed("document", b"", signer.key_id)
    assert not verifier.is_signed("document", signature, "0" * 16)
    assert verifier.knows(signer.key_id)
    assert not verifier.knows("0" * 16)


def test_after_a_lost_key_old_signatures_stay_good(tmp_path):
    old = load_signer(tmp_path)
    signature = old.sign("document")
    (tmp_path / PRIVATE_NAME).unlink()
    new = load_signer(tmp_path)
    assert new.key_id != old.key_id
    verifier = load_verifier(tmp_path / PUBLIC_NAME)
    assert verifier.is_signed("document", signature, old.key_id)
    assert verifier.is_signed("document", new.sign("document"), new.key_id)


@pytest.mark.parametrize("name", [PRIVATE_NAME, PUBLIC_NAME])
def test_a_file_that_is_no_key(tmp_path, name):
    load_signer(tmp_path)
    (tmp_path / name).write_bytes(b"-----BEGIN x-----\nno\n-----END PUBLIC KEY-----\n")
    with pytest.raises(LedgerError, match="key"):
        load_signer(tmp_path)


RSA = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf
9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""


def test_a_key_of_another_kind(tmp_path):
    path = tmp_path / PUBLIC_NAME
    path.write_text(RSA)
    with pytest.raises(LedgerError, match="not Ed25519"):
        load_verifier(path)


def test_no_key_is_no_verifier(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        load_verifier(tmp_path / PUBLIC_NAME)
