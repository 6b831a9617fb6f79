"""Who may use what, as one policy version says it: groups that are granted models, and conditions
that refuse. Pure; made by `policy/tables.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from extproc.conditions import Condition, Known
from extproc.errors import ConditionError
from extproc.request import Identity

ALL = "*"
MOST_TOKENS = 2**31 - 1
"""Conditions count in 64 bits. What is larger than an engine can count is as good as this."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Members of any of these groups may use these models. No operations stand for all."""

    groups: frozenset[str]
    models: frozenset[str]
    operations: frozenset[str] = frozenset()

    def is_for(self, groups: frozenset[str], operation: str | None) -> bool:
        fits = operation is None or not self.operations or operation in self.operations
        return fits and not self.groups.isdisjoint(groups)


@dataclass(frozen=True, slots=True)
class Veto:
    """Whatever the condition is true for is refused."""

    name: str
    message: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Asked:
    """What conditions and an authority are told of a request, beside who asks and when."""

    operation: str
    model: str
    """The public name, whatever alias the client used."""
    track: str = ""
    stream: bool = False
    max_tokens: int = 0
    """What the client asked for; 0 if it did not say."""
    client_ip: str = ""


class Access:
    """The rights of one policy version."""

    def __init__(self, grants: Sequence[Grant] = (), vetoes: Sequence[Veto] = ()) -> None:
        self._vetoes = vetoes
        self._general = tuple(grant for grant in grants if ALL in grant.models)
        named = {model for grant in grants for model in grant.models}
        self._by_model = {
            model: tuple(grant for grant in grants if {ALL, model} & grant.models)
            for model in named
        }

    def admits(self, identity: Identity, model: str, operation: str | None = None) -> bool:
        """Whether the credential itself, and the groups, let somebody use a model, for anything at
        all or for one operation. A model that no grant names is free to all."""
        if not identity.may_use(model):
            return False
        grants = self._by_model.get(model, self._general)
        return not grants or any(grant.is_for(identity.groups, operation) for grant in grants)

    def find_veto(self, known: Known) -> Veto | None:
        """Find the first condition that refuses. Cost: about 4 us for each.

        Raises:
            ConditionError: One could not be decided. Nothing may pass then.
        """
        for veto in self._vetoes:
            try:
                if veto.condition.holds(known):
                    return veto
            except ConditionError as exc:
                raise ConditionError(f"rule {veto.name!r}: {exc}") from None
        return None

    @property
    def has_vetoes(self) -> bool:
        """Whether it is worth gathering what conditions may ask."""
        return bool(self._vetoes)


def tell(identity: Identity, asked: Asked, now_s: float) -> Known:
    """Gather what conditions may ask. Times are UTC; the week begins with Monday, 1."""
    now = datetime.fromtimestamp(now_s, UTC)
    return {
        "identity.tenant": identity.tenant,
        "identity.project": identity.project,
        "identity.user": identity.user,
        "identity.groups": sorted(identity.groups),
        "identity.region": identity.region,
        "identity.key_id": identity.key_id,
        "request.operation": asked.operation,
        "request.model": asked.model,
        "request.track": asked.track,
        "request.stream": asked.stream,
        "request.max_tokens": min(asked.max_tokens, MOST_TOKENS),
        "request.client_ip": asked.client_ip,
        "time.hour": now.hour,
        "time.weekday": now.isoweekday(),
        "time.epoch": int(now_s),
    }


def nest(known: Known) -> Mapping[str, Mapping[str, object]]:
    """Write the same as an object of objects, for JSON."""
    nested: dict[str, dict[str, object]] = {}
    for name, value in known.items():
        section, _, member = name.partition(".")
        nested.setdefault(section, {})[member] = value
    return nested
