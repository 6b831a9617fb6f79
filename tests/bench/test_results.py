import pytest

from bench.results import summarise
from bench.runs import MemoryRun, Runs
from tests.bench.samples import sample, stream


def closed(echo_us, headgate_us, envoy_us=200):
    runs = Runs()
    for connections in (16, 1):
        for name, worker in (("bare", None), ("echo", echo_us), ("headgate", headgate_us)):
            rounds = [None] * 3 if worker is None else worker
            runs.closed[name, connections] = [sample(w, envoy_us) for w in rounds]
    return runs


def test_rows_stand_by_connections_and_then_as_they_ran():
    rows = summarise(closed([300] * 3, [400] * 3)).closed
    assert [(row.connections, row.variant) for row in rows] == [
        (c, v) for c in (1, 16) for v in ("bare", "echo", "headgate")
    ]


def test_a_row_is_made_of_medians():
    row = summarise(closed([300] * 3, [390, 9000, 400])).closed[-1]
    assert row.cpu_us["worker"] == pytest.approx(400)
    assert row.total_us == pytest.approx(600)
    assert (row.p50_us, row.p99_us, row.errors) == (2000, 4000, 0)
    assert (row.requests_per_s, row.rounds) == (2, 3)


def test_the_generator_is_not_part_of_the_gateway():
    bare = summarise(closed([1] * 3, [1] * 3)).closed[0]
    assert bare.cpu_us == pytest.approx({"envoy": 200, "load": 20})
    assert bare.total_us == pytest.approx(200)


def test_ratios_are_taken_within_rounds():
    # The machine was ten times slower in the second round, for all alike.
    one, sixteen = summarise(closed([200, 2000, 220], [300, 3000, 330])).ratios
    assert (one.connections, sixteen.connections) == (1, 16)
    assert one.over == sixteen.over == "echo", "the floor was not measured"
    assert sixteen.worker == pytest.approx(1.5)
    assert sixteen.total == pytest.approx(530 / 420)


def test_added_latency_is_above_bare_envoy_in_the_same_round():
    runs = Runs()
    runs.open["bare", 100] = [sample(latencies_us=[each] * 4) for each in (500, 5000, 600)]
    runs.open["headgate", 100] = [sample(latencies_us=[each] * 4) for each in (1500, 6000, 1650)]
    bare, headgate = summarise(runs).open
    assert (bare.added_p50_us, bare.p50_us) == (0, 600)
    assert headgate.added_p50_us == headgate.added_p99_us == 1000
    assert headgate.p50_us == 1650


def test_a_worker_pays_for_chunks_only_what_it_does_not_pay_when_idle():
    runs = Runs(
        streams={
            "bare": [stream(envoy_s=0.06), stream(envoy_s=0.08), stream(envoy_s=0.07)],
            "headgate": [stream(worker_s=0.03), stream(worker_s=0.05)],
        },
        idle=[stream(worker_s=0.01, seconds=1.0), stream(worker_s=0.02, seconds=1.0)],
        messages_per_stream=[4.0, 4.0],
    )
    results = summarise(runs)
    bare, headgate = results.streams
    assert bare.envoy_us == pytest.approx(35)
    assert bare.worker_us is None
    # 80 ms in 4 s, of which 60 ms would have been spent anyway; 4000 events.
    assert headgate.worker_us == pytest.approx(5)
    assert (headgate.events, headgate.events_per_read) == (4000, 1)
    assert results.messages_per_stream == 4


def test_phases_that_did_not_run_leave_nothing_behind():
    memory = MemoryRun(10, 100, 50, 101)
    results = summarise(Runs(memory=memory))
    assert not results.closed
    assert not results.ratios
    assert not results.streams
    assert results.messages_per_stream is None
    assert results.memory == memory
