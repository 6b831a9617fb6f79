import asyncio
import threading

from prometheus_client import CollectorRegistry

from ledger.duty import attend, conclude, turn
from telemetry.metrics import SettleMetrics

GUARD_S = 30


class Chore:
    """Counts its turns; the first ones fail."""

    def __init__(self, name="chore", *, failures=0, at_stop=False, every_s=0.001):
        self.name = name
        self.every_s = every_s
        self.at_stop = at_stop
        self.turns = 0
        self.done = threading.Event()
        self._failures = failures

    def run(self):
        self.turns += 1
        if self.turns <= self._failures:
            raise RuntimeError("no")
        self.done.set()


def metrics():
    registry = CollectorRegistry()
    return SettleMetrics(registry), registry


async def attended(*duties):
    """Attend to them until the last one has done its work once."""
    counted, registry = metrics()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(attend(duties, stop, counted))
        for duty in duties:
            assert await asyncio.to_thread(duty.done.wait, GUARD_S)
        stop.set()
    return registry


async def test_a_duty_that_fails_is_counted_logged_and_tried_again(caplog):
    failing, other = Chore("failing", failures=2), Chore("other")
    registry = await attended(failing, other)
    assert failing.turns >= 3
    faults = {
        name: registry.get_sample_value("headgate_duty_faults_total", {"duty": name})
        for name in ("failing", "other")
    }
    assert faults == {"failing": 2, "other": None}
    records = [record for record in caplog.records if record.getMessage() == "duty_fault"]
    assert [record.duty for record in records] == ["failing", "failing"]
    assert all(record.exc_info for record in records)


async def test_one_turn_comes_at_once_and_a_stop_does_not_wait_for_the_next():
    rare = Chore(every_s=3600)
    await asyncio.wait_for(attended(rare), GUARD_S)
    assert rare.turns == 1


async def test_the_last_turn_is_for_those_that_ask_for_it():
    counted, _ = metrics()
    last, never, failing = Chore(at_stop=True), Chore(), Chore(at_stop=True, failures=1)
    await conclude([failing, never, last], counted)
    assert (failing.turns, never.turns, last.turns) == (1, 0, 1)


async def test_a_turn_tells_how_it_went():
    counted, _ = metrics()
    assert await turn(Chore(), counted) is True
    assert await turn(Chore(failures=1), counted) is False
