"""What audit records say of requests."""

import pytest

from audit.record import Record
from extproc.filters.audited import make_record
from extproc.request import Identity, Model
from tests.extproc.requests import BARE


@pytest.mark.parametrize(("user", "actor"), [("ann", "ann"), ("", "k")])
def test_a_record_names_who_asked_which_model(user, actor):
    request = BARE.having(Identity("acme", "k", user=user)).having(Model("big", "p", "b"))
    made = make_record(request, 1.2345, "pii.unmasked", "done", {"email": 2})
    assert made == Record(
        at_ms=1234, action="pii.unmasked", actor=actor, object="big", outcome="done",
        tenant="acme", request_id=request.request_id, settle_key=request.settle_key,
        members={"email": 2},
    )  # fmt: skip
