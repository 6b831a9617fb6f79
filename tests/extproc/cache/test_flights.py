"""One goes, the others wait."""

import asyncio
import gc

from extproc.cache.flights import Flights, Lead
from tests.extproc.cache.answers import answer


async def test_the_first_leads_and_all_get_its_answer():
    flights = Flights()
    lead = flights.join("a")
    assert isinstance(lead, Lead)
    assert isinstance(flights.join("b"), Lead)
    waiting = [flights.join("a") for _ in range(3)]
    lead.land(answer())
    lead.land(None)  # too late
    assert await asyncio.gather(*waiting) == [answer()] * 3


async def test_when_it_is_over_somebody_else_leads():
    flights = Flights()
    flights.join("a").land(None)
    await asyncio.sleep(0)
    assert len(flights) == 0
    assert isinstance(flights.join("a"), Lead)


async def test_a_lead_that_is_dropped_lets_the_others_go():
    flights = Flights()
    lead = flights.join("a")
    flight = flights.join("a")
    del lead
    gc.collect()
    async with asyncio.timeout(30):
        assert await flight is None


def test_a_loop_that_is_gone_is_left_alone():
    async def join():
        return Flights().join("a")

    lead = asyncio.run(join())
    assert isinstance(lead, Lead)
    del lead
    gc.collect()
