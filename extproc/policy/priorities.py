"""Classes of requests, for those that wait for room in a limit."""

from typing import Annotated

from pydantic import Field

from extproc.limits.reach import Priority
from extproc.policy.access import OperationName
from extproc.policy.base import Name, Strict, Word


class PriorityPolicy(Strict):
    """One class. A request has the first that is for it; all conditions that are given must hold. One
    that no class is for has the class `default`, of weight 1."""

    name: Word  # metrics show it
    weight: Annotated[int, Field(ge=1, le=1000)] = 1  # how many turns for one of weight 1
    tenants: tuple[Word, ...] = ()
    projects: tuple[Word, ...] = ()
    groups: tuple[Word, ...] = ()
    keys: tuple[Word, ...] = ()
    models: tuple[Name, ...] = ()
    operations: tuple[OperationName, ...] = ()

    def priority(self) -> Priority:
        """Compile it."""
        return Priority(
            name=self.name,
            weight=self.weight,
            tenants=frozenset(self.tenants),
            projects=frozenset(self.projects),
            groups=frozenset(self.groups),
            keys=frozenset(self.keys),
            models=frozenset(self.models),
            operations=frozenset(self.operations),
        )
