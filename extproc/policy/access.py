"""Who may use what: groups by name, conditions in CEL, and an authority to ask."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from extproc.conditions import Condition
from extproc.errors import ConditionError
from extproc.filter import OnFault
from extproc.policy.base import Name, Secret, Strict, Url, Word


def check_condition(text: str) -> str:
    try:
        Condition(text)
    except ConditionError as exc:
        raise ValueError(str(exc)) from None
    return text


Expression = Annotated[
    str, StringConstraints(min_length=1, max_length=2000), AfterValidator(check_condition)
]
Message = Annotated[str, StringConstraints(min_length=1, max_length=500)]
OperationName = Literal["chat", "completions", "embeddings", "responses", "messages"]
MOST_DENY_RULES = 64
"""All of them are asked for each request: a few us each."""


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
    message: Message = "Not allowed by policy."  # for the client; the rule's name is added


class AuthorityPolicy(Strict):
    """An external authority with OPA's HTTP API: POST {"input": ...} -> {"result": true}, or
    {"result": {"allow": true, "reason": "..."}}. An undefined result refuses."""

    url: Url
    deadline_ms: Annotated[int, Field(ge=1, le=4000)] = 50
    on_fault: OnFault = "deny"
    token: Secret | None = None


class AccessPolicy(Strict):
    allow: tuple[AllowRule, ...] = ()
    deny: Annotated[tuple[DenyRule, ...], Field(max_length=MOST_DENY_RULES)] = ()
    authority: AuthorityPolicy | None = None
