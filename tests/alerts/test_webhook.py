import pytest

from alerts.alert import Kind, Severity
from alerts.webhook import PER_MINUTE, Shape, Webhook
from tests.alerts.samples import alert

URL = "https://hooks.example.com/T0/B0/verysecret"


@pytest.mark.parametrize(
    ("wants", "told", "expected"),
    [
        ({}, {}, True),
        ({}, {"tenant": "acme"}, True),
        ({"kinds": frozenset({Kind.COST_DAY})}, {}, True),
        ({"kinds": frozenset({Kind.BUDGET_LEVEL})}, {}, False),
        ({"severity": Severity.WARNING}, {}, True),
        ({"severity": Severity.CRITICAL}, {}, False),
        ({"tenants": frozenset({"acme"})}, {"tenant": "acme"}, True),
        ({"tenants": frozenset({"acme"})}, {"tenant": "globex"}, False),
        ({"tenants": frozenset({"acme"})}, {}, False),
    ],
)
def test_wants(wants, told, expected):
    assert Webhook("ops", URL, Shape.SLACK, **wants).wants(alert(**told)) is expected


def test_the_url_is_not_in_its_repr():
    assert "secret" not in repr(Webhook("ops", URL, Shape.SLACK, secret="SECsecret"))


def test_every_shape_has_a_pace():
    assert set(PER_MINUTE) == set(Shape)
