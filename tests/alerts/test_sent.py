from alerts import sent
from alerts.sent import KEEP_S, Sent


def test_it_is_remembered_across_restarts(tmp_path):
    path = tmp_path / "sent.jsonl"
    Sent(path).add("ops", ["a", "b"])
    again = Sent(path)
    assert ("ops", "a") in again
    assert ("ops", "b") in again
    assert ("other", "a") not in again


def test_a_torn_line_spoils_no_other(tmp_path):
    path = tmp_path / "sent.jsonl"
    Sent(path).add("ops", ["a"])
    with path.open("ab") as file:
        file.write(b'[1.0,"ops","to')
    torn = Sent(path)
    torn.add("ops", ["b"])
    assert ("ops", "a") in Sent(path)
    assert ("ops", "b") in Sent(path)


def test_it_forgets_in_time(tmp_path):
    now_s = 1000.0
    path = tmp_path / "sent.jsonl"
    Sent(path, clock=lambda: now_s).add("ops", ["a"])
    now_s += KEEP_S + 1
    later = Sent(path, clock=lambda: now_s)
    assert ("ops", "a") not in later
    assert path.read_bytes() == b""


def test_its_file_does_not_grow_without_end(tmp_path):
    path = tmp_path / "sent.jsonl"
    told = Sent(path)
    for _ in range(3):
        told.add("ops", [f"a{n}" for n in range(sent.COMPACT_LINES // 2)])
    assert len(path.read_bytes().splitlines()) <= sent.COMPACT_LINES * 1.5
    told.add("ops", [f"a{n}" for n in range(sent.COMPACT_LINES // 2)])
    assert len(path.read_bytes().splitlines()) == sent.COMPACT_LINES // 2


def test_a_process_that_runs_for_months_forgets_too(tmp_path):
    """Every alert has an id of its own, so nothing else makes it look."""
    now_s = 1000.0
    path = tmp_path / "sent.jsonl"
    told = Sent(path, clock=lambda: now_s)
    for turn in range(6):
        told.add("ops", [f"a{turn}-{n}" for n in range(sent.COMPACT_LINES // 2 + 1)])
        now_s += KEEP_S + 1
    assert ("ops", "a0-0") not in told
    assert len(path.read_bytes().splitlines()) <= 2 * sent.COMPACT_LINES


def test_a_full_disk_costs_a_repetition_only(tmp_path):
    told = Sent(tmp_path / "sent.jsonl")
    (tmp_path / "sent.jsonl").mkdir()
    told.add("ops", ["a"])
    assert ("ops", "a") in told
