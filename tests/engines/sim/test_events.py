import msgspec

from engines.sim.events import Done, Event, First, Preempted


def test_events_can_be_written_down_and_read_back():
    events: list[Event] = [First(1, 0.5, 16), Preempted("a", 1.0), Done(1, 2.0, 5)]
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events
