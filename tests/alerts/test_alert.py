import msgspec
import pytest

from alerts.alert import Alert, Severity
from tests.alerts.samples import alert


def test_it_survives_a_file():
    told = alert(tenant="acme", facts={"usd": 1.5, "tokens": 7, "model": "m", "hard": True})
    assert msgspec.json.decode(msgspec.json.encode(told), type=Alert) == told


def test_severities_are_in_order():
    assert [s.rank for s in (Severity.INFO, Severity.WARNING, Severity.CRITICAL)] == [0, 1, 2]


@pytest.mark.parametrize("text", ['{"id":""}', "[]", '{"id":"x","at_ms":1,"kind":"nonsense"}'])
def test_what_is_no_alert(text):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Alert)
