"""A drill shows that nothing is missing, and leaves the real ledger as it is."""

from contextlib import closing

import pytest

from ledger.drill import Course, drill
from tests.ledger.gateway import Gateway

BRIEF = Course(0.6, rate=300)


@pytest.fixture
def gateway(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        gateway.serve(20)
        gateway.settle()
        gateway.sign()
        yield gateway


def test_what_a_loss_comes_to(gateway, tmp_path):
    before = gateway.rows()
    there = tmp_path / "drill"
    there.mkdir()
    done = drill(gateway.where, gateway.state, there, BRIEF)
    assert done.ok
    whole, bare = done.ledger_lost, done.ledger_and_log_lost
    assert (whole.rpo_requests, whole.rpo_s) == (0, 0.0)
    assert whole.entries == 20 + done.requests
    assert bare.replayed == 0
    assert bare.entries + bare.rpo_requests == whole.entries
    assert 0 < bare.rpo_requests < done.requests
    assert bare.rpo_s >= BRIEF.for_s / 6
    assert done.backup_age_s >= BRIEF.for_s / 2
    for loss in (whole, bare):
        assert loss.rto_s >= loss.check_s + loss.place_s + loss.replay_s > 0
    assert gateway.rows() == before
    assert gateway.faults() == ()


def test_a_gateway_that_has_served_nobody_can_practise_too(tmp_path):
    there = tmp_path / "drill"
    there.mkdir()
    assert drill(tmp_path / "none.sqlite", tmp_path, there, BRIEF).ok
