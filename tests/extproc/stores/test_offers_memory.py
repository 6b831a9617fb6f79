"""What is offered before anything is taken: limit by limit, and then as lines leave it."""

import msgspec
import pytest

from extproc.limits.base import Place, Ticket
from extproc.limits.rules import Rules
from extproc.limits.state import NEVER
from extproc.stores.expiring import Expiring
from extproc.stores.lines_memory import MemoryLines
from extproc.stores.offers_memory import join, make_offers, queue
from tests.extproc.stores.limits import BEGIN, ask, bucket, semaphore

TPM = bucket("tpm", 1000)
SLOTS = semaphore("slots", 2, wait_s=5)
OTHER = semaphore("other", 2, wait_s=5)
TICKET = Ticket("w1", "batch", 1, "acme")


def offer(*charges, **how):
    """Offers of limits in which nothing is taken yet."""
    return make_offers(Expiring(100), charges, Rules().of(charges), BEGIN, **how)


def refusing(offers, *names, wait_us=7):
    """The same, where those limits have no room."""
    return [
        msgspec.structs.replace(each, wait_us=wait_us if each.charge.limit.name in names else 0)
        for each in offers
    ]


def stand(lines, key, *limits):
    """How a request stands before those that refuse."""
    queued = queue(lines, key, offer(*ask(*limits)), TICKET, BEGIN)
    return refusing(queued, *(each.name for each in limits))


@pytest.fixture
def lines():
    return MemoryLines()


def test_each_limit_by_itself():
    fits, never = offer(*ask(TPM, amount=400)), offer(*ask(TPM, amount=1001))
    assert [(each.wait_us, each.refuses) for each in fits] == [(0, False)]
    assert [(each.wait_us, each.refuses) for each in never] == [(NEVER, True)]
    assert fits[0].row(BEGIN) == (1000, 0, 0), "nothing is taken yet"


def test_a_limit_in_shadow_would_wait_and_does_not_refuse():
    (made,) = offer(*ask(bucket(shadow=True), amount=1001))
    assert (made.wait_us, made.refuses) == (NEVER, False)


def test_what_has_been_taken_already_waits_for_nothing():
    (made,) = offer(*ask(TPM, amount=1001), repeated=True)
    assert (made.wait_us, made.refuses) == (0, False)


def test_where_others_wait_there_is_no_room(lines):
    assert join(lines, stand(lines, "a", SLOTS))
    first, second = (
        queue(lines, key, offer(*ask(SLOTS, TPM)), TICKET, BEGIN) for key in ("a", "b")
    )
    assert [each.refuses for each in first] == [False, False]
    assert [each.refuses for each in second] == [True, False], "a bucket without a line has none"
    assert [each.stand is None for each in second] == [False, True]


def test_who_is_refused_stands_in_every_line_that_refuses(lines):
    assert join(lines, stand(lines, "a", SLOTS, OTHER))
    assert len(lines) == 2


@pytest.mark.parametrize("why", ["a limit without a line refuses too", "it will never fit"])
def test_in_all_lines_or_in_none(lines, why):
    join(lines, stand(lines, "a", SLOTS))
    offers = queue(lines, "a", offer(*ask(SLOTS, TPM)), TICKET, BEGIN)
    if why == "it will never fit":
        offers = refusing(offers, "slots", wait_us=NEVER)
    else:
        offers = refusing(offers, "slots", "tpm")
    assert not join(lines, offers)
    assert len(lines) == 0


def test_who_waits_for_another_limit_lets_the_next_one_pass(lines):
    heard: list[Place] = []
    lines.listen(heard.append)
    for key in "ab":
        join(lines, stand(lines, key, SLOTS, OTHER))
    offers = queue(lines, "a", offer(*ask(SLOTS, OTHER)), TICKET, BEGIN)
    assert join(lines, refusing(offers, "other"))
    assert [(place.line, place.settle_key) for place in heard] == [("slots:ann", "b")]
    assert len(lines) == 3, "it has left the line of what has room"
