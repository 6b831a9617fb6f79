"""A record of something that was done to a request, as the audit log takes it."""

from collections.abc import Mapping

from audit.record import Member, Record
from extproc.request import Identity, Model, Request


def make_record(
    request: Request, at_s: float, action: str, outcome: str, members: Mapping[str, Member]
) -> Record:
    """Say who asked which model, and what was done, at `at_s` seconds since the epoch. Never the text."""
    who = request.fact(Identity)
    return Record(
        at_ms=round(at_s * 1000),
        action=action,
        actor=who.user or who.key_id,
        object=request.fact(Model).name,
        outcome=outcome,
        tenant=who.tenant,
        request_id=request.request_id,
        settle_key=request.settle_key,
        members=members,
    )
