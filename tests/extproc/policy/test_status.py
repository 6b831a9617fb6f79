"""What workers publish and `headgate policy status` reads."""

import os
import stat
import subprocess
import sys
import time

import msgspec
import pytest

from extproc.errors import PolicyError
from extproc.policy.flaws import Flaw, FlawedPolicyError, Spot
from extproc.policy.status import (
    OnDisk,
    Rejection,
    Status,
    StatusFile,
    read_disk,
    read_statuses,
    started_at,
)

FLAW = Flaw("wrong", Spot("a.yaml", 3), "salt")
DEAD = Status("worker-1", 2**22 + 1, 5, (), "v1", 1.0)


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def begin(run, listen="unix:/run/worker-3.sock", version="v1"):
    return StatusFile.begin(run, listen, [run.parent / "policy"], version)


def test_a_worker_says_what_it_starts_with(run):
    before = time.time()
    begin(run)
    (status,) = read_statuses(run)
    assert (status.worker, status.pid, status.version) == ("worker-3", os.getpid(), "v1")
    assert status.directories == (str(run.parent / "policy"),)
    assert before <= status.since_s <= time.time()
    assert status.rejected is None
    assert not status.is_mended


def test_over_tcp_a_worker_is_called_by_its_pid(run):
    begin(run, "127.0.0.1:9000")
    assert read_statuses(run)[0].worker == f"worker-{os.getpid()}"


def test_a_worker_says_what_speaks_against_endpoints(run):
    file = begin(run)
    ailing = {"p": {"10.0.0.1:8000": ("open", ("errors:m",))}}
    file.ail(ailing)
    assert read_statuses(run)[0].ailing == ailing
    written = next(run.iterdir()).stat().st_mtime_ns
    file.ail({"p": dict(ailing["p"])})
    assert next(run.iterdir()).stat().st_mtime_ns == written, "nothing has changed"
    file.ail({})
    assert read_statuses(run)[0].ailing == {}


def test_a_rejection_is_kept_until_the_next_one(run):
    file = begin(run)
    file.reject(FlawedPolicyError([FLAW]), "v2")
    (status,) = read_statuses(run)
    assert status.version == "v1", "what was in force stays"
    assert (status.rejected.version, status.rejected.flaws) == ("v2", (FLAW,))
    assert not status.is_mended

    file.serve("v3")
    (status,) = read_statuses(run)
    assert status.version == "v3"
    assert status.rejected.version == "v2"
    assert status.is_mended

    file.reject(PolicyError("gone"), "")
    (status,) = read_statuses(run)
    assert (status.rejected.version, status.rejected.flaws) == ("", (Flaw("gone"),))


def test_no_reader_sees_half_a_file(run):
    """It is replaced, not rewritten: who has it open reads on in the old one."""
    file = begin(run)
    (path,) = run.iterdir()
    with path.open() as opened:
        file.serve("v2")
        assert '"v1"' in opened.read()
    assert [each.name for each in run.iterdir()] == ["worker-3.policy.json"], "no draft is left"


def test_a_restarted_worker_replaces_its_predecessor(run):
    run.mkdir()
    (run / "worker-3.policy.json").write_bytes(msgspec.json.encode(DEAD))
    assert read_statuses(run) == []
    begin(run)
    assert len(read_statuses(run)) == 1


def test_what_a_worker_leaves_behind_does_not_count(run):
    begin(run).close()
    assert list(run.iterdir()) == []
    (run / "worker-1.policy.json").write_bytes(msgspec.json.encode(DEAD))
    (run / "worker-2.policy.json").write_text("{")
    (run / "worker-4.policy.json").mkdir()
    assert read_statuses(run) == []


def test_a_pid_taken_by_another_process_is_not_the_worker(run):
    begin(run)
    (path,) = run.iterdir()
    status = msgspec.json.decode(path.read_bytes(), type=Status)
    earlier = msgspec.structs.replace(status, started=status.started - 1)
    path.write_bytes(msgspec.json.encode(earlier))
    assert read_statuses(run) == []


def test_a_process_that_ended_has_no_start():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert started_at(child.pid) > 0
        child.kill()
    assert started_at(child.pid) == 0


def test_a_directory_that_cannot_be_written_stops_no_worker(run, caplog):
    run.parent.joinpath("run").write_text("a file, where the directory should be")
    begin(run)
    assert [record.message for record in caplog.records] == ["status_unwritten"]


def test_others_may_not_look(run):
    begin(run)
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("disk", "served", "rejected", "said"),
    [
        ("v1", "v1", None, "in force"),
        ("v2", "v1", None, "not looked at yet"),
        ("v2", "v1-v2", None, "held back"),
        ("v3", "v1-v2", None, "not looked at yet"),
        ("v2", "v1-v2", "v2", "rejected"),
        ("", "v1-v2", None, "not looked at yet"),
        ("v2", "v1", "v2", "rejected"),
        ("v3", "v1", "v2", "not looked at yet"),
        ("v1", "v1", "v2", "in force"),
        ("", "v1", "", "rejected"),
        ("", "v1", None, "not looked at yet"),
    ],
)
def test_what_became_of_the_files(disk, served, rejected, said):
    last = None if rejected is None else Rejection(1.0, rejected, (FLAW,))
    status = msgspec.structs.replace(DEAD, version=served, rejected=last)
    assert OnDisk(disk).judge(status) == said


def test_the_files_on_disk(tmp_path):
    (tmp_path / "a.yaml").write_text("tenants: []\n")
    assert len(read_disk([str(tmp_path)]).version) == 12
    gone = read_disk([str(tmp_path / "gone")])
    assert gone.version == ""
    assert "gone" in gone.complaint
