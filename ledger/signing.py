"""The key that signs where the ledger stands: Ed25519, one file for us and one for everybody.

The private key is made at the first start. Whoever reads it can sign another history, so roots and
the public key should also be kept where this machine cannot write. When the private key is lost,
the next start makes another one and adds it to the public file, so that old roots stay verifiable.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ledger.store import LedgerError

PRIVATE_NAME = "ledger-signing.key"
PUBLIC_NAME = "ledger-signing.pub"
_END = b"-----END PUBLIC KEY-----\n"


@dataclass(frozen=True, slots=True)
class Signer:
    """The private key and its name."""

    key: Ed25519PrivateKey
    key_id: str

    def sign(self, document: str) -> bytes:
        return self.key.sign(document.encode())


class Verifier:
    """The public keys one trusts."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)

    def knows(self, key_id: str) -> bool:
        return key_id in self._keys

    def is_signed(self, document: str, signature: bytes, key_id: str) -> bool:
        """Tell whether this key signed this document; False for a key that is not known."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, document.encode())
        except InvalidSignature:
            return False
        return True


def load_signer(state: Path) -> Signer:
    """Read the private key in the state directory, or make it. Raises LedgerError, OSError."""
    path = state / PRIVATE_NAME
    if not path.exists():
        _write_key(path)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as fault:
        raise LedgerError(f"{path} is no private key: {fault}") from fault
    if not isinstance(key, Ed25519PrivateKey):
        raise LedgerError(f"{path} is no Ed25519 key")
    signer = Signer(key, _key_id(key.public_key()))
    _publish(state / PUBLIC_NAME, key.public_key())
    return signer


def load_verifier(path: Path) -> Verifier:
    """Read the public keys in a file. Raises LedgerError, OSError."""
    return Verifier({_key_id(key): key for key in _public_keys(path)})


def _write_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _publish(path: Path, key: Ed25519PublicKey) -> None:
    known = {_key_id(other) for other in _public_keys(path)} if path.exists() else set[str]()
    if _key_id(key) not in known:
        with path.open("ab") as file:
            file.write(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _public_keys(path: Path) -> list[Ed25519PublicKey]:
    keys: list[Ed25519PublicKey] = []
    for text in path.read_bytes().split(_END)[:-1]:
        try:
            key = load_pem_public_key(text + _END)
        except ValueError as fault:
            raise LedgerError(f"{path} holds no public key: {fault}") from fault
        if not isinstance(key, Ed25519PublicKey):
            raise LedgerError(f"{path} holds a key that is not Ed25519")
        keys.append(key)
    return keys


def _key_id(key: Ed25519PublicKey) -> str:
    """Name a key by a hash of it."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
