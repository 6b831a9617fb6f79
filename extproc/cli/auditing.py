"""Audit records of commands: who did what, by the account that did it."""

import os
import pwd
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audit.journal import writing
from audit.record import AuditLog, Member, Record


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes down what a command has done."""

    audit: AuditLog

    def tell(
        self, action: str, what: str, tenant: str = "", outcome: str = "done", **members: Member
    ) -> None:
        """Raises OSError."""
        now_ms = round(time.time() * 1000)
        self.audit.write(Record(now_ms, action, account(), what, outcome, tenant, members=members))


@contextmanager
def recording(state: Path) -> Generator[Recorder]:
    """Have a place for records before anything is done: what cannot be recorded does not happen.
    It need not run: the next settle process collects them. Raises OSError."""
    with writing(state) as audit:
        yield Recorder(audit)


def account() -> str:
    """Name the account, as the system knows it; the environment may say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
