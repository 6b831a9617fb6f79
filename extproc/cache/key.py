"""What must be alike for two requests to have the same answer, as a key that tells nobody what.

All that engines get is part of the key, member by member, but for `stream` and what belongs to it: an
answer is served in whichever form it is asked for. So is who asks, which model on which track, and the
policy's sections on which an answer may depend. Personal data is masked before; the same value has the
same placeholder, so the keys of masked requests are equal exactly when their masks are.

HMAC-SHA256 with a secret: whoever reads the store cannot try out which question was asked. 10 us for
4 kB.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from extproc.request import Identity, Kind, Model

Sharing = Literal["tenant", "project", "user"]
"""Who finds each other's answers."""

FORM = frozenset({"stream", "stream_options"})
"""Members that choose how an answer is sent."""
ENDS_USER = frozenset({"user", "safety_identifier", "prompt_cache_key"})
"""Members that name whom a client asks for; engines do not answer differently for them."""
PLACE_CHARS = 16
"""Of a hashed tenant or model. Two that are alike would be purged together, and share nothing else."""

encode = msgspec.json.Encoder(order="deterministic").encode


class Asked(msgspec.Struct, frozen=True):
    """Whose request it is, and who serves it."""

    identity: Identity
    model: Model
    kind: Kind
    sharing: Sharing = "tenant"


class Keys:
    """`secret` is the policy's; `rules` is what of the policy answers depend on."""

    def __init__(self, secret: str, rules: str = "") -> None:
        self._secret = hmac.digest(secret.encode(), b"headgate cache 2", "sha256")
        self._rules = rules

    def key(self, asked: Asked, document: Mapping[str, Any]) -> str | None:
        """Make the key of a request; None where the document cannot be written as UTF-8."""
        digest = self._digest(asked, document, "exact")
        return None if digest is None else f"{self.place(asked)}:{digest}"

    def partition(self, asked: Asked, rest: Mapping[str, Any]) -> str | None:
        """Name all that must be equal of requests that differ in one text; `rest` is without it."""
        return self._digest(asked, rest, "rest")

    def place(self, asked: Asked) -> str:
        return self.place_of(asked.identity.tenant, asked.model.name)

    def place_of(self, tenant: str, model: str = "") -> str:
        """What the keys of a tenant begin with, or those of a model of theirs."""
        whose = self._name("tenant", tenant)
        return f"{whose}:{self._name('model', model)}" if model else f"{whose}:"

    def _name(self, what: str, name: str) -> str:
        said = encode([what, name])
        return hmac.digest(self._secret, said, "sha256").hex()[:PLACE_CHARS]

    def _digest(self, asked: Asked, document: Mapping[str, Any], use: str) -> str | None:
        left_out = FORM if asked.sharing == "user" else FORM | ENDS_USER
        model = asked.model
        said = [
            use,
            scope_of(asked.identity, asked.sharing),
            [model.name, model.track, model.version, model.pool, model.served_as],
            self._rules,
            asked.kind.value,
            {
                name: plain(value)
                for name, value in document.items()
                if name not in left_out and value is not None
            },
        ]
        try:
            return hmac.digest(self._secret, encode(said), "sha256").hex()
        except UnicodeEncodeError:  # half a surrogate pair
            return None


def scope_of(identity: Identity, sharing: Sharing) -> list[str]:
    """Name those who share. Who has no user is known by the key."""
    match sharing:
        case "tenant":
            return [identity.tenant]
        case "project":
            return [identity.tenant, identity.project]
        case "user":
            who = ["user", identity.user] if identity.user else ["key", identity.key_id]
            return [identity.tenant, identity.project, *who]


def plain(value: object) -> object:
    """Write `0.0` as `0`: engines make no difference."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
