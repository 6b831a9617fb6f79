"""Who shares cached prefixes with whom: `cache_salt`, made of who is asking.

An engine answers sooner what it has cached. Without a salt a client could guess another's prompts by
trying them and looking at the clock; with one, cached blocks are found only by those who have the
same. It is made here, of the authenticated tenant. A client may send a salt of its own and be
isolated further, but it is mixed in, so that nobody can ever choose that of another.
"""

import hmac
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import ClassVar

from engines.base import Engine
from extproc.decision import Decision, Deny
from extproc.errors import Reason
from extproc.filter import Filter
from extproc.policy.catalog import Sharing
from extproc.request import Fact, Identity, Model, Operation, Prompt, Request

MEMBER = "cache_salt"
MOST_CHARS = 1024
"""Of a client's own salt."""
MOST_KEPT = 4_096
"""Salts that are kept made, of those who asked last: 1 MB. Making one costs 2 us, but at a hundred requests a
second 40, for by then others have used the processor's caches. Those mixed with a client's own are not kept."""


class Salt(Fact, frozen=True):
    """What the engine's prefix cache is divided by."""

    value: str = ""
    """Empty: not at all, or the engine knows no salt."""


class Salting(Filter):
    """`engines` and `sharing` are those of each pool, `secret` the policy's salt."""

    name: ClassVar[str] = "salt"
    needs: ClassVar[frozenset[type[Fact]]] = frozenset({Operation, Identity, Model, Prompt})
    provides: ClassVar[frozenset[type[Fact]]] = frozenset({Salt})

    def __init__(
        self, engines: Mapping[str, Engine], sharing: Mapping[str, Sharing], secret: str
    ) -> None:
        self._engines = engines
        self._sharing = sharing
        self._secret = secret
        self._plain_of = lru_cache(MOST_KEPT)(partial(salt_of, secret, asked=""))

    async def decide(self, request: Request) -> Decision:
        pool, prompt = request.fact(Model).pool, request.fact(Prompt)
        if request.fact(Operation).kind.value not in self._engines[pool].salted:
            return request.having(Salt())
        asked = prompt.document.get(MEMBER)
        if asked is not None and not is_salt(asked):
            message = f"'{MEMBER}' must be a string of 1 to {MOST_CHARS} characters."
            return Deny(Reason.INVALID_REQUEST, message, MEMBER)
        scope = scope_of(self._sharing[pool], request.fact(Identity))
        if not scope and not asked:
            return request.having(Salt())
        value = salt_of(self._secret, scope, asked) if asked else self._plain_of(scope)
        return request.having(prompt.editing(**{MEMBER: value})).having(Salt(value))


def is_salt(asked: object) -> bool:
    return isinstance(asked, str) and 0 < len(asked) <= MOST_CHARS


def scope_of(sharing: Sharing, identity: Identity) -> str:
    """Name those who share, so that no two names are alike; empty: everybody. Who has no user is
    known by the key."""
    if sharing == "pool":
        return ""
    parts = [identity.tenant]
    if sharing != "tenant":
        parts.append(identity.project)
    if sharing == "user":
        parts += ["user", identity.user] if identity.user else ["key", identity.key_id]
    return framed(parts)


def salt_of(secret: str, tenant: str, asked: str) -> str:
    """Make a salt: 64 hex digits, the same in every process.

    `tenant` is whoever may share, `asked` what the client sent, perhaps nothing. HMAC-SHA256,
    because no choice of `asked` may lead to the salt of another, even where `secret` is known.
    vLLM takes at most 128 characters, and not all of them.
    """
    said = framed((MEMBER, tenant, asked)).encode("utf-8", "surrogatepass")
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), said, "sha256").hex()


def framed(parts: Iterable[str]) -> str:
    """Join texts so that no other texts join to the same."""
    return "".join(f"{len(part)}:{part}" for part in parts)
