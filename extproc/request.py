"""One client request and the facts that filters establish about it. No I/O, clock or protobuf."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Self, TypeVar

import msgspec

Scalar = str | int | float | bool

F = TypeVar("F", bound="Fact")


class Fact(msgspec.Struct, frozen=True):
    """Something a filter found out. Facts are only added, never changed.

    What settle will need of a fact, in another process and minutes later, is its `witness`: it
    travels as Envoy dynamic metadata (namespace `headgate`) into the access logs.
    """

    def witness(self) -> Mapping[str, Scalar]:
        return {}

    def __repr__(self) -> str:
        """Only its name: facts hold prompts."""
        return type(self).__name__


class Request(msgspec.Struct, frozen=True):
    """What the client sent, plus the facts known so far.

    A struct, because a new one is made for every fact: 0.2 us, where a frozen dataclass took 1.8.
    """

    settle_key: str
    """Ours, unique per request. `request_id` may be the client's own and repeat."""
    request_id: str
    traceparent: str
    method: str
    path: str
    """Without the query string, which may hold a misplaced secret."""
    client_ip: str
    """As Envoy sees it, trusted proxies taken into account; empty when it did not say."""
    headers: Mapping[str, str]
    """Names in lower case; a header sent twice is joined by a comma, as RFC 9110 5.3 allows."""
    claims: Mapping[str, object] | None = None
    """Of a token that Envoy's jwt_authn has verified; None when it has not."""
    facts: Mapping[Any, Any] = msgspec.field(default_factory=dict[Any, Any])
    """By type; `fact` and `find` know which."""

    def __repr__(self) -> str:
        """Without headers and facts, which hold secrets and prompts."""
        return f"Request({self.settle_key}, {self.method} {self.path})"

    @property
    def announced_bytes(self) -> int:
        """Size of the body as the client announced it; 0 when it did not."""
        length = self.headers.get("content-length", "")
        return int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else 0

    @property
    def keeps_trace(self) -> bool:
        """Whether the trace is the client's, not one begun here."""
        return self.headers.get("traceparent") == self.traceparent

    @property
    def trace_id(self) -> str:
        """The second field of `traceparent`: 32 hex digits."""
        return self.traceparent[3:35]

    def fact(self, kind: type[F]) -> F:
        """Look up the fact of that type. A KeyError is our bug: the order is checked at load."""
        found: F = self.facts[kind]
        return found

    def find(self, kind: type[F]) -> F | None:
        found: F | None = self.facts.get(kind)
        return found

    def having(self, fact: Fact) -> Self:
        return msgspec.structs.replace(self, facts={**self.facts, type(fact): fact})

    def keeping(self, *kinds: type[Fact]) -> Self:
        """Let go of all other facts, and of headers: for who tells of a request while its answer goes by,
        which may take minutes. Prompts are large, and nothing counts them by then."""
        kept = {kind: self.facts[kind] for kind in kinds if kind in self.facts}
        return msgspec.structs.replace(self, headers={}, claims=None, facts=kept)

    def witness(self) -> dict[str, Scalar]:
        """All that settle will know of this request."""
        known: dict[str, Scalar] = {"settle_key": self.settle_key, "trace_id": self.trace_id}
        for fact in self.facts.values():
            known.update(fact.witness())
        return known


class Kind(Enum):
    """An operation of an API; the value is its name in metadata, ledger and metrics."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    MODELS = "models"
    USAGE = "usage"


class Subset(Fact, frozen=True):
    """Only these may serve the request: `ip:port`, or `ip` for all ports of it. Said by the data
    plane (Endpoint Picker Protocol); `extproc/wire.py` reads it. Without this fact, all may."""

    endpoints: tuple[str, ...]


class Operation(Fact, frozen=True):
    """What is asked for; established by `filters/surface.py`."""

    kind: Kind
    item: str = ""
    """The id in `/v1/models/{id}`."""

    def witness(self) -> Mapping[str, Scalar]:
        return {"operation": self.kind.value}


class Identity(Fact, frozen=True):
    """Who is asking; established by `filters/identify.py`."""

    tenant: str
    key_id: str
    project: str = ""
    user: str = ""
    models: frozenset[str] = frozenset({"*"})
    """Public model names this credential may use; `*` is all."""
    groups: frozenset[str] = frozenset()
    region: str = ""

    def witness(self) -> Mapping[str, Scalar]:
        known = {"tenant": self.tenant, "key_id": self.key_id}
        if self.project:
            known["project"] = self.project
        if self.user:
            known["user"] = self.user
        if self.groups:
            known["groups"] = self.list_groups()
        if self.region:
            known["region"] = self.region
        return known

    def list_groups(self) -> str:
        """Write them down: sorted, joined by commas. Names of LDAP (`cn=ops,dc=acme`) get semicolons
        for theirs, or each would be several groups to whoever reads it."""
        return ",".join(sorted(group.replace(",", ";") for group in self.groups))

    def may_use(self, model: str) -> bool:
        return "*" in self.models or model in self.models


class Body(Fact, frozen=True):
    """The request body as it arrived; empty when there was none. Filters that need it run late."""

    raw: bytes


class Prompt(Fact, frozen=True):
    """The body, parsed once; established by `filters/read.py`."""

    document: Mapping[str, Any]
    """The JSON object that will be sent on. Treat as frozen; change it by `editing`."""
    model: str
    stream: bool = False
    wants_usage: bool = False
    """Streams only: the client asked for the final usage event itself."""
    wants_continuous_usage: bool = False
    """Streams only: the client asked for usage in every event (a vLLM extension)."""
    n: int = 1
    """How many answers to each prompt: engines compute the prompt, and count it, that often."""

    def editing(self, **members: Any) -> Self:  # noqa: ANN401 - JSON values have no narrower type
        return msgspec.structs.replace(self, document={**self.document, **members})

    def witness(self) -> Mapping[str, Scalar]:
        return {"stream": self.stream, "n": self.n} if self.n > 1 else {"stream": self.stream}


class Model(Fact, frozen=True):
    """What will serve the request; established by `filters/resolve.py`."""

    name: str
    """The public name, whatever alias the client used."""
    pool: str
    served_as: str
    """The name the engines know it by."""
    track: str = "stable"
    version: str = "1"
    price: str = ""
    """US dollars for a million tokens, `INPUT/CACHED/OUTPUT`; empty where there is none."""

    def witness(self) -> Mapping[str, Scalar]:
        known = {
            "model": self.name,
            "pool": self.pool,
            "track": self.track,
            "version": self.version,
        }
        if self.price:
            known["price"] = self.price
        return known


class Payload(Fact, frozen=True):
    """The body as engines will get it; established by `filters/write.py`."""

    raw: bytes


class Route(Fact, frozen=True):
    """Where it goes: `ip:port`, best first, the rest for retries; set by `filters/pick.py`."""

    endpoints: Sequence[str]
    prefiller: str = ""
    """Where the first of them gets the computed prompt from; disaggregated pools only."""
    rung: str = ""
    """What the choice could be based on, see `routing/candidate.py`; empty where nobody chose."""
    may_resend: bool = False
    """Whether another endpoint may get it when one has got all of it and gave no answer."""

    def witness(self) -> Mapping[str, Scalar]:
        known = {"prefiller": self.prefiller, "rung": self.rung}
        return {name: value for name, value in known.items() if value}


class Strip(Fact, frozen=True):
    """What the gateway must take out of the stream again, because it put it in.

    `usage`: every usage member and the usage-only last event. `continuous`: only the members in
    events that carry choices. Read by `dataplane/strip.lua`.
    """

    what: str

    def witness(self) -> Mapping[str, Scalar]:
        return {"strip": self.what}


class Fallback(Fact, frozen=True):
    """Something else serves than was asked for, decided before the request left; established by
    `filters/fallback.py` and `filters/downgrade.py`."""

    source: str
    """The public name of the model that was asked for."""
    reason: str
    """`unavailable`, `saturated`, `budget` or `egress`."""

    def witness(self) -> Mapping[str, Scalar]:
        return {
            "fallback": tell_fallback(self.source, self.reason),
            "requested_model": self.source,
        }


def tell_fallback(source: str, reason: str) -> str:
    """Write what stands in `x-headgate-fallback`."""
    return f"from={source}; reason={reason}"


class Alternative(msgspec.Struct, frozen=True):
    """A model that serves when those before it have failed."""

    model: Model
    head: bytes
    """What the body begins with for it."""
    endpoints: tuple[str, ...] = ()
    """One for each attempt; none for a service elsewhere, which is asked once."""


class Tries(Fact, frozen=True):
    """Where the request goes on when its engines fail, without anybody being asked again;
    established by `filters/fallback.py`."""

    source: str
    """The public name of the model that was asked for."""
    head: bytes
    """What the body begins with for the first model; all else is the same for every one."""
    alternatives: tuple[Alternative, ...]
    may_resend: bool
    """Whether it may go on once it has been sent completely; else only while it cannot have begun."""


class Hedge(Fact, frozen=True):
    """When a second endpoint is asked as well; established by `filters/hedge.py`."""

    after_ms: int

    def witness(self) -> Mapping[str, Scalar]:
        return {"hedge_ms": self.after_ms}


class Cascaded(Fact, frozen=True):
    """A smaller model was asked first, and this is what became of it; established by
    `filters/cascade.py`."""

    result: str
    """`kept`, `escalated` or `failed`."""
    confidence: float | None = None

    @property
    def said(self) -> str:
        """What stands in `x-headgate-cascade`."""
        if self.confidence is None:
            return self.result
        return f"{self.result}; confidence={self.confidence:.3f}"

    def witness(self) -> Mapping[str, Scalar]:
        return {"cascade": self.said}
