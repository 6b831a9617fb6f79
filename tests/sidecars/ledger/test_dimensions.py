"""Every dimension is explained; what is for few is not shown to others."""

from ledger.question import DIMENSIONS, STEPS
from sidecars.ledger.dimensions import SAID, dimensions
from sidecars.ledger.usage import UsageRow
from tests.sidecars.ledger.books import ACME, ALL


def test_every_dimension_is_explained_and_described():
    assert set(SAID) == {*DIMENSIONS, *STEPS}
    assert set(SAID) <= set(UsageRow.model_fields)


def test_what_is_shown():
    everything = {each.name for each in dimensions(ALL).dimensions}
    assert everything == set(SAID)
    assert everything - {each.name for each in dimensions(ACME).dimensions} == {"endpoint"}
    kinds = {each.name: each.kind for each in dimensions(ALL).dimensions}
    assert {name for name, kind in kinds.items() if kind == "time"} == set(STEPS)
