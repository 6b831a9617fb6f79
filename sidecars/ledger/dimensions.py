"""What usage can be grouped and filtered by, for programs that build a question."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from ledger.question import DIMENSIONS, STEPS
from sidecars.common.identity import Identity
from sidecars.ledger.parameters import OPERATORS_ONLY

SAID: Mapping[str, str] = {
    "tenant": "who pays",
    "project": "part of a tenant",
    "user": "a person or machine of the tenant",
    "group": "a group of the user; who is in several counts in each",
    "region": "where the tenant, or the user, belongs",
    "key_id": "the credential's name: of a key, `jwt:ISSUER` or `service:NAME`",
    "model": "the public name",
    "track": "such as stable or canary",
    "version": "of the model",
    "pool": "the engines that served it",
    "cluster": "where those are",
    "gpu": "what those run on",
    "endpoint": "the engine that served it",
    "operation": "such as chat or embeddings",
    "status": "what the client got, as HTTP status; 0: it left before an answer began",
    "deny_reason": "why the gateway refused",
    "policy": "version of the policy that decided",
    "price": "US dollars for a million tokens: INPUT/CACHED/OUTPUT",
    "hour": "begin of an hour, in the zone asked for",
    "day": "in the zone asked for",
    "week": "of ISO 8601, in the zone asked for",
    "month": "in the zone asked for",
}


class Dimension(BaseModel):
    """One of them."""

    name: str
    description: str
    kind: Literal["group", "time"] = Field(description="A `time` can be grouped by only.")


class Dimensions(BaseModel):
    """All that are for whoever asks."""

    dimensions: list[Dimension]


def dimensions(who: Identity) -> Dimensions:
    shown = [name for name in DIMENSIONS if who.scope == "all" or name not in OPERATORS_ONLY]
    return Dimensions(
        dimensions=[
            *(Dimension(name=name, description=SAID[name], kind="group") for name in shown),
            *(Dimension(name=name, description=SAID[name], kind="time") for name in STEPS),
        ]
    )
