"""An issuer's public keys, out of a JSON Web Key Set (RFC 7517). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import PyJWTError

from extproc.identity.claims import Claims, ClaimsError, read_object

Material = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

MAX_KEYS = 100
"""Keycloak publishes two, Entra ID about ten."""
RSA_BITS = range(2048, 8193)
"""At least what RFC 7518 3.3 asks for; at most what can be verified in half a millisecond."""
CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
"""Each curve has its one algorithm (RFC 7518 3.4)."""


class KeySetError(ValueError):
    """There is no key in it that could be used."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key, and what it may be used for."""

    kid: str
    algorithms: frozenset[str]
    material: Material


@dataclass(frozen=True, slots=True)
class KeySet:
    """All usable keys of an issuer at one time."""

    keys: tuple[PublicKey, ...]

    def find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Find the key that a token names. A token that names none is taken when only one fits."""
        fit = [
            key for key in self.keys if algorithm in key.algorithms and (kid or key.kid) == key.kid
        ]
        return fit[0] if len(fit) == 1 else None


def read_key_set(raw: bytes) -> KeySet:
    """Read what an issuer publishes, leaving out keys that cannot verify a signature: those for
    encryption, of unknown kinds, too weak, and every symmetric one.

    Raises:
        KeySetError: It is no key set, or no key is left.
    """
    try:
        listed = read_object(raw).get("keys")
    except ClaimsError as exc:
        raise KeySetError(f"it is {exc}") from None
    if not isinstance(listed, list):
        raise KeySetError("it has no member 'keys'")
    entries = cast("list[object]", listed)
    if len(entries) > MAX_KEYS:
        raise KeySetError(f"it has more than {MAX_KEYS} keys")
    read = (read_key(cast("Claims", each)) for each in entries if isinstance(each, dict))
    keys = tuple(key for key in read if key)
    if not keys:
        raise KeySetError("none of its keys can verify a signature")
    return KeySet(keys)


def read_key(entry: Claims) -> PublicKey | None:
    """Read one key; None when it is not for us."""
    kid = entry.get("kid", "")
    operations = entry.get("key_ops", ["verify"])
    if (
        not isinstance(kid, str)
        or entry.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
    ):
        return None
    try:
        material, algorithms = read_material(entry)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, OverflowError):
        return None
    named = entry.get("alg")
    if named is not None:
        algorithms = algorithms.intersection({str(named)})
    if not algorithms or material is None:
        return None
    return PublicKey(kid, algorithms, material)


def read_material(entry: Claims) -> tuple[Material | None, frozenset[str]]:
    """Build the key from its public members only. Raises: what the libraries below raise."""
    public: Mapping[str, object] = {
        name: entry[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in entry
    }
    parameters = dict(public)
    match entry.get("kty"):
        case "RSA":
            key = RSAAlgorithm.from_jwk(parameters)
            if isinstance(key, RSAPublicKey) and key.key_size in RSA_BITS:
                return key, frozenset({"RS256", "RS384", "RS512"})
        case "EC":
            curve = ECAlgorithm.from_jwk(parameters)
            if isinstance(curve, EllipticCurvePublicKey):
                return curve, frozenset({CURVES[str(entry.get("crv"))]})
        case "OKP":
            edwards = OKPAlgorithm.from_jwk(parameters)
            if isinstance(edwards, Ed25519PublicKey | Ed448PublicKey):
                return edwards, frozenset({"EdDSA"})
        case _:
            pass
    return None, frozenset()
