"""What it costs to know who is asking: CPU of the `identify` filter for each kind of credential.

`python -m bench.credentials`; `make bench` runs it last. In this process and warm: what is measured is
our own work, without Envoy and gRPC.
"""

import asyncio
import gc
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from extproc.arrive import arrive
from extproc.filters.identify import Identify
from extproc.identity.claims import ClaimNames, Issuer, Tenant
from extproc.identity.keys import Key, KeySource, digest
from extproc.identity.keyset import KeySet, read_key_set
from extproc.identity.tokens import Tokens, Trusted
from extproc.request import Identity, Request

SALT = "a salt for benchmarks"
KEYS = 1000
"""Keys that the policy knows: a look-up must not depend on it."""
ISSUER = "https://issuer.example/realms/acme"
ROUNDS = 5
REMEMBERED = 10
"""Size of the cache of verified tokens; 0 makes every request verify."""
SIGNING: Mapping[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


@dataclass(frozen=True, slots=True)
class Ring:
    """An issuer's keys, always fresh."""

    keys: KeySet
    is_stale: bool = False

    async def refresh(self) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    name: str
    identify: Identify
    request: Request
    count: int


def cases() -> list[Case]:
    """Prepare every kind of credential."""
    private = {name: make() for name, make in SIGNING.items()}
    now_s = int(time.time())
    claims = {
        "iss": ISSUER, "aud": ["headgate"], "sub": "f:2c1:alice", "tenant": "acme",
        "project": "support", "realm_access": {"roles": ["engineers", "offline_access"]},
        "scope": "openid email profile", "email_verified": True, "iat": now_s, "exp": now_s + 3600,
    }  # fmt: skip
    ring = Ring(
        read_key_set(json.dumps({"keys": [public(n, k) for n, k in private.items()]}).encode())
    )
    found = [Case("API key", identify(ring, REMEMBERED), ask("sk-headgate-7"), 5000)]
    for name, key in private.items():
        token = jwt.encode(claims, key, algorithm=name, headers={"kid": name})
        found.append(Case(f"{name}, remembered", identify(ring, REMEMBERED), ask(token), 5000))
        found.append(Case(f"{name}, verified", identify(ring, 0), ask(token), 500))
    return found


def public(name: str, key: Any) -> dict[str, object]:  # noqa: ANN401 - three kinds of key without a common type
    algorithm = jwt.get_algorithm_by_name(name)
    return {
        **json.loads(algorithm.to_jwk(key.public_key())),
        "kid": name,
        "alg": name,
        "use": "sig",
    }


def identify(ring: Ring, remembered: int) -> Identify:
    """Make the filter, for a tenant with a thousand keys and one issuer."""
    names = ClaimNames("tenant", "project", "sub", "realm_access.roles")
    issuer = Issuer("sso", ISSUER, frozenset({"headgate"}), frozenset(SIGNING), names=names)
    tenants = {"acme": Tenant(frozenset({"support"}))}
    keys = {
        digest(SALT, f"sk-headgate-{n}"): Key(Identity("acme", f"key-{n}")) for n in range(KEYS)
    }
    tokens = Tokens([Trusted(issuer, ring)], tenants, cache_size=remembered)
    return Identify(KeySource(SALT, keys), tokens, tenants, time.time)


def ask(credential: str) -> Request:
    return arrive(
        [
            (":method", "POST"),
            (":path", "/v1/chat/completions"),
            ("content-type", "application/json"),
            ("authorization", f"Bearer {credential}"),
        ]
    )


async def measure_us(case: Case) -> float:
    """Take the best of a few rounds: CPU microseconds of this process for one decision."""
    accepted = await case.identify.decide(case.request)
    if not isinstance(accepted, Request):
        raise TypeError(f"{case.name} is refused: {accepted}")
    best = float("inf")
    for _ in range(ROUNDS):
        begun_s = time.process_time()
        for _ in range(case.count):
            await case.identify.decide(case.request)
        best = min(best, (time.process_time() - begun_s) / case.count)
    return best * 1e6


async def main() -> None:
    gc.freeze()
    print("CPU of knowing who is asking, us for each request\n")
    for case in cases():
        print(f"  {case.name:20} {await measure_us(case):7.1f}")


if __name__ == "__main__":
    asyncio.run(main())
