import msgspec
import pytest

from engines.sim.outage import Faults, Outage


def test_only_what_is_sent_changes():
    outage = Outage(0.25)
    outage.apply(msgspec.json.decode(b'{"error_status":500,"health_status":429}', type=Faults))
    assert outage == Outage(0.25, 500, 429)
    outage.apply(Faults(error_rate=0.0, out_of_memory=True))
    assert (outage.error_rate, outage.is_dead, outage.health) == (0.0, True, 503)
    outage.apply(Faults(out_of_memory=False))
    assert outage.health == 429


@pytest.mark.parametrize(
    "wrong", [b'{"error_rate":2}', b'{"error_status":200}', b'{"stall_s":-1}', b'{"stal":1}']
)
def test_what_is_refused(wrong: bytes):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(wrong, type=Faults)
