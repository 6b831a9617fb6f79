"""The policy that was served last, kept beside the journal: a worker that is started while the files
are broken serves it, instead of nothing; and while a new policy waits, it does not serve that one sooner
than others.

Without it, "a bad file changes nothing" would hold only until a worker dies.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from extproc.counting.vocabulary import Vocabularies
from extproc.errors import PolicyError
from extproc.policy.load import load, load_sources
from extproc.policy.models import Policy
from extproc.policy.secrets import SecretReader
from extproc.policy.withdrawn import withdrawn
from telemetry.logs import Event, EventLog

log = EventLog(__name__)


class Pools(Protocol):
    """What the Envoy before us has."""

    def has(self, policy: Policy, /) -> bool:
        """Whether it has all of a policy's pools, where they are to lead."""
        ...

    def contradicts(self, policy: Policy, /) -> bool:
        """Whether one of them leads elsewhere."""
        ...


class LastGood:
    """One file of a state directory, shared by its workers. It holds what policy files hold: digests
    and references, no secrets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = ""

    def load(
        self,
        directories: Sequence[Path],
        secrets: SecretReader,
        vocabularies: Vocabularies | None = None,
        pools: Pools | None = None,
    ) -> Policy:
        """Load what is on disk or, when that cannot be served, what was served last. When it must wait for its
        pools, load what was served last, less what it takes away.

        Raises:
            PolicyError: Neither can.
        """
        try:
            policy = load(directories, secrets, vocabularies)
        except PolicyError as exc:
            kept = self._read()
            if not kept:
                raise
            log.error(Event.POLICY_REJECTED, error=str(exc), serving="the last good one")
            return load_sources(kept, secrets, vocabularies)
        if pools is None or pools.has(policy):
            return policy
        before = self._before(secrets, vocabularies)
        if before is None or pools.contradicts(before):
            return policy
        log.warning(Event.POLICY_HELD_BACK, policy=policy.version, serving=before.version)
        return withdrawn(before, policy)

    def _before(self, secrets: SecretReader, vocabularies: Vocabularies | None) -> Policy | None:
        """What was served last; None where nothing is kept that could be served again."""
        try:
            kept = self._read()
            return load_sources(kept, secrets, vocabularies) if kept else None
        except PolicyError:
            return None

    def keep(self, policy: Policy) -> None:
        """Remember a policy that is in force now. A full disk is no reason not to serve it."""
        if policy.version == self._kept:
            return
        sources = {str(path): raw for path, raw in policy.sources.items()}
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            draft.write_bytes(msgspec.json.encode(sources))
            draft.replace(self._path)
        except OSError as exc:
            log.error(Event.POLICY_NOT_KEPT, error=str(exc))
        else:
            self._kept = policy.version

    def _read(self) -> dict[Path, bytes]:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=dict[str, bytes])
        except (OSError, msgspec.DecodeError):
            return {}
        return {Path(name): raw for name, raw in kept.items()}
