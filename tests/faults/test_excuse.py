import pytest

from faults.excuse import Window
from tests.faults.records import answer


@pytest.mark.parametrize(
    ("sent_s", "ended_s", "met"),
    [
        (1.0, 3.9, False),  # written down long before
        (1.0, 4.5, True),  # perhaps still in a buffer
        (1.0, 99.0, True),
        (6.0, 6.1, True),
        (7.4, 9.0, True),
        (7.6, 9.0, False),
    ],
)
def test_whom_a_fault_met(sent_s, ended_s, met):
    assert Window(5.0, 7.0).met(answer(sent_s=sent_s, ended_s=ended_s)) is met
