"""What one service may be given."""

import pytest

from extproc.dialects.texts import Text, find_texts
from extproc.request import Kind
from extproc.safety.egress import SHAPING, TELLING, Gate
from extproc.safety.pii.engine import Said, shipped
from extproc.safety.pii.mask import Masker

MAIL = "mona@example.org"


@pytest.mark.parametrize(
    ("gate", "tenant", "region", "said"),
    [
        (Gate(), "acme", "", ""),
        (Gate(tenants=frozenset({"acme"})), "acme", "", ""),
        (Gate(tenants=frozenset({"acme"})), "globex", "", "tenant"),
        (Gate(regions=frozenset({"eu"})), "acme", "eu", ""),
        (Gate(regions=frozenset({"eu"})), "acme", "cn", "'cn'"),
        (Gate(regions=frozenset({"eu"})), "acme", "", "without a region"),
    ],
)
def test_whose_requests_may_leave(gate, tenant, region, said):
    refused = gate.refuse_whom(tenant, region)
    assert (said in refused) if said else not refused


def test_what_says_who_asks_is_taken_out_unless_it_may_leave():
    document = {"model": "m", "user": "u", "metadata": {}, "temperature": 1}
    assert Gate().surplus(document) == ["user", "metadata"]
    assert Gate(fields=frozenset({"user"})).surplus(document) == ["metadata"]
    assert not SHAPING & TELLING


def test_what_nobody_knows_may_not_leave_unless_it_is_named():
    document = {"model": "m", "messages": [], "min_p": None, "guided_json": {}}
    assert Gate().forbidden(document) == "guided_json"
    assert not Gate(fields=frozenset({"guided_json"})).forbidden(document)


def unmasked(gate, text):
    texts = [Text(("prompt",), "user", text)]
    return gate.unmasked(texts, shipped().find([Said(text)]))


def test_personal_data_stays_unless_its_type_may_leave():
    text, kind = unmasked(Gate(), f"write to {MAIL}")
    assert (text.place, kind) == (("prompt",), "email")
    assert unmasked(Gate(types=frozenset({"phone"})), MAIL)
    assert unmasked(Gate(types=frozenset({"email"})), MAIL) is None
    assert Gate(types=frozenset({"all"})).looks is False
    assert Gate(types=frozenset({"email"})).looks is True


def test_what_was_masked_hashed_or_taken_out_is_none():
    masker = Masker("k" * 32, "acme")
    values = {
        "email": MAIL, "phone": "13800138000", "resident_id": "11010519491231002X",
        "bank_card": "4111111111111111", "ip_address": "10.1.2.3", "ssn": "123-45-6789",
    }  # fmt: skip
    for kind, value in values.items():
        said = f"{masker.mask(kind, value)}, {masker.hash(kind, value)}: [{kind.upper()}]"
        assert unmasked(Gate(), said) is None, kind


def test_all_texts_of_a_request_are_looked_at():
    document = {"model": "m", "messages": [{"role": "tool", "content": [{"text": MAIL}]}]}
    texts = find_texts(Kind.CHAT, document)
    found = shipped().find([Said(each.text) for each in texts])
    assert Gate().unmasked(texts, found)[1] == "email"
