"""Who may use what: groups by name, conditions in CEL, and an authority to ask."""

from typing import Annotated, Literal

from pydantic import Field, HttpUrl, StringConstraints

from extproc.filter import OnFault
from extproc.policy.base import Name, Secret, Strict, Word

Expression = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
OperationName = Literal["chat", "completions", "embeddings", "responses", "messages", "models"]


class AllowRule(Strict):
    """Members of any of the groups may use these models. Once a model stands in any rule, only
    those whom a rule admits may use it."""

    groups: Annotated[tuple[Word, ...], Field(min_length=1)]
    models: Annotated[tuple[Name | Literal["*"], ...], Field(min_length=1)]
    operations: tuple[OperationName, ...] = ()  # none: all


class DenyRule(Strict):
    """Whatever the expression is true for is refused. One that cannot be evaluated refuses too."""

    name: Word  # what the client and the log are told
    when: Expression  # CEL over `identity`, `request` and `time`
    message: str = "Not allowed by policy."


class AuthorityPolicy(Strict):
    """An external authority with OPA's HTTP API: POST {"input": ...} -> {"result": true | {"allow": ...}}."""

    url: HttpUrl
    deadline_ms: Annotated[int, Field(ge=1, le=4000)] = 50
    on_fault: OnFault = "deny"
    token: Secret | None = None


class AccessPolicy(Strict):
    allow: tuple[AllowRule, ...] = ()
    deny: tuple[DenyRule, ...] = ()
    authority: AuthorityPolicy | None = None
