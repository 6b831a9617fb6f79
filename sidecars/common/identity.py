"""Who asks, as the gateway says it, and how much they may see.

The gateway takes `x-headgate-*` out of every client's request and sets its own. A request without
a complete and consistent identity is refused: better no answer than somebody else's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote

from fastapi import Request

from sidecars.common.errors import Code, Refusal

Scope = Literal["all", "tenant", "project"]
"""How far somebody sees: everything, their tenant, or one project of it."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
_PREFIX = b"x-headgate-"


@dataclass(frozen=True, slots=True)
class Identity:
    """Built by `read_identity` alone, outside of tests."""

    scope: Scope
    tenant: str
    project: str = ""
    """Of scope `project`: the only one that may be seen. Of scope `all` it does not matter."""
    user: str = ""
    groups: frozenset[str] = frozenset()


def read_identity(headers: Iterable[tuple[bytes, bytes]]) -> Identity:
    """Read the identity out of request headers, names in lower case. Raises: Refusal."""
    told: dict[str, str] = {}
    for name, value in headers:
        if not name.startswith(_PREFIX):
            continue
        word = name.removeprefix(_PREFIX).decode("latin-1")
        if word in told:
            raise _refusal()
        told[word] = value.decode("latin-1")
    scope, tenant, project = told.get("scope", ""), _text(told, "tenant"), _text(told, "project")
    if scope not in SCOPES or not tenant:
        raise _refusal()
    if scope != "all" and (scope == "project") != bool(project):
        raise _refusal()  # a project that got lost on the way must not become the whole tenant
    groups = frozenset(unquote(each) for each in told.get("groups", "").split(",") if each)
    return Identity(scope, tenant, project, _text(told, "user"), groups)


def identity_of(request: Request) -> Identity:
    """`Depends(identity_of)`: who sent this request. Raises: Refusal."""
    return read_identity(request.headers.raw)


def _text(told: dict[str, str], name: str) -> str:
    try:
        return unquote(told.get(name, ""), errors="strict")
    except UnicodeDecodeError:
        raise _refusal() from None


def _refusal() -> Refusal:
    return Refusal(Code.NO_IDENTITY, "This service is reached through the gateway only.")
