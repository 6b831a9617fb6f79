from alerts import outbox
from alerts.outbox import MAX_PER_MINUTE, Outbox
from tests.alerts.samples import AT_MS, alert


def test_what_is_put_in_waits_until_it_is_removed(tmp_path):
    first, second = alert("later", at_ms=AT_MS + 1), alert("earlier")
    box = Outbox(tmp_path / "alerts")
    assert box.put(first)
    assert box.put(second)
    assert outbox.read_all(tmp_path / "alerts") == [second, first]
    outbox.remove(tmp_path / "alerts", "earlier")
    outbox.remove(tmp_path / "alerts", "never there")
    assert outbox.read_all(tmp_path / "alerts") == [first]


def test_two_processes_that_notice_the_same_leave_one_file(tmp_path):
    Outbox(tmp_path).put(alert("same"))
    Outbox(tmp_path).put(alert("same", text="a little later"))
    assert [a.text for a in outbox.read_all(tmp_path)] == ["a little later"]
    assert len(list(tmp_path.iterdir())) == 1


def test_ids_may_hold_anything(tmp_path):
    ids = ["../../x", "a/b", "\0", "\N{SNOWMAN}" * 80]
    for name in ids:
        assert Outbox(tmp_path).put(alert(name))
    assert {a.id for a in outbox.read_all(tmp_path)} == set(ids)


def test_a_flood_is_bounded_and_room_comes_back(tmp_path):
    now_s = 0.0
    box = Outbox(tmp_path, clock=lambda: now_s)
    assert sum(box.put(alert(f"a{n}")) for n in range(MAX_PER_MINUTE + 50)) == MAX_PER_MINUTE
    now_s = 61.0
    assert box.put(alert("again"))


def test_a_disk_that_takes_nothing_raises_nothing(tmp_path):
    box = Outbox(tmp_path / "alerts")
    (tmp_path / "alerts").rmdir()
    assert not box.put(alert())


def test_what_is_no_alert_goes_away_and_drafts_do_not_count(tmp_path):
    Outbox(tmp_path).put(alert("good"))
    (tmp_path / "bad.alert.json").write_bytes(b"\xff{")
    (tmp_path / ".half.alert.json.7").write_text("{")
    (tmp_path / "sent.jsonl").write_text("")
    assert [a.id for a in outbox.read_all(tmp_path)] == ["good"]
    assert not (tmp_path / "bad.alert.json").exists()


def test_no_directory_is_nothing_waiting(tmp_path):
    assert outbox.read_all(tmp_path / "none") == []
