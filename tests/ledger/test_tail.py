import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.tail import READ_BYTES, Tail, rotations_of

LOG = "access.jsonl"


class Follower:
    """A tail and everything it has handed out; can be restarted from its stored offsets."""

    def __init__(self, directory):
        self.directory = directory
        self.lines = []
        self.places = []
        self.start()

    def start(self, offsets=()):
        self.tail = Tail(self.directory, rotations_of(LOG), dict(offsets))
        self.offsets = dict(offsets)

    def poll(self):
        reading = self.tail.poll()
        self.lines += [line.text for line in reading.lines]
        self.places += [line.place for line in reading.lines]
        self.offsets.update(self.tail.offsets)
        for file_id in self.tail.gone:
            self.offsets.pop(file_id, None)
        self.tail.gone.clear()
        return [line.text for line in reading.lines]

    def restart(self):
        self.tail.close()
        self.start(self.offsets)


@pytest.fixture
def follower(tmp_path):
    follower = Follower(tmp_path)
    yield follower
    follower.tail.close()


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_a_missing_file_or_directory_is_waited_for(tmp_path):
    follower = Follower(tmp_path / "log")
    assert follower.poll() == []
    (tmp_path / "log").mkdir()
    assert follower.poll() == []
    append(tmp_path / "log" / LOG, b"a\nb\n")
    assert follower.poll() == [b"a", b"b"]
    follower.tail.close()


def test_a_name_without_a_file_hides_no_other(follower, tmp_path):
    append(tmp_path / LOG, b"a\n")
    append(tmp_path / f"{LOG}.2", b"b\n")
    assert follower.poll() == [b"b", b"a"]
    (tmp_path / f"{LOG}.3").symlink_to(tmp_path / "gone")
    append(tmp_path / LOG, b"c\n")
    assert follower.poll() == [b"c"]
    append(tmp_path / f"{LOG}.1", b"d\n")
    assert follower.poll() == [b"d"]


def test_a_file_that_is_renamed_while_we_look_is_not_read_again(tmp_path):
    renamed = []

    def matches(name):
        if renamed == [None] and name == LOG:  # it is listed, and gone before we ask for more
            (tmp_path / LOG).rename(tmp_path / f"{LOG}.1")
            renamed.append(name)
        return rotations_of(LOG)(name)

    append(tmp_path / f"{LOG}.2", b"a\n")
    append(tmp_path / LOG, b"b\n")
    tail = Tail(tmp_path, matches, {})
    polls = [[line.text for line in tail.poll().lines]]
    renamed.append(None)
    polls += [[line.text for line in tail.poll().lines] for _ in range(2)]
    assert renamed == [None, LOG]
    assert (polls, tail.gone) == ([[b"a", b"b"], [], []], set())
    tail.close()


def test_a_partial_line_is_left_alone(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"a")
    assert follower.poll() == []
    append(log, b"a\nb")
    assert follower.poll() == [b"aa"]
    follower.restart()
    assert follower.poll() == []
    append(log, b"b\n")
    assert follower.poll() == [b"bb"]


def test_a_restart_goes_on_behind_the_last_line(follower, tmp_path):
    append(tmp_path / LOG, b"a\nb\n")
    follower.poll()
    follower.restart()
    append(tmp_path / LOG, b"c\n")
    assert follower.poll() == [b"c"]


def test_rotation_loses_nothing_of_either_file(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"a\n")
    follower.poll()
    log.rename(tmp_path / f"{LOG}.1")
    append(tmp_path / f"{LOG}.1", b"b\n")  # Envoy has not reopened yet
    assert follower.poll() == [b"b"]
    append(tmp_path / f"{LOG}.1", b"c\n")
    append(log, b"d\n")
    assert follower.poll() == [b"c", b"d"]


def test_rotation_while_nobody_looked(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"a\nb\n")
    follower.poll()
    follower.tail.close()
    append(log, b"c\n")
    log.rename(tmp_path / f"{LOG}.2")
    append(tmp_path / f"{LOG}.1", b"d\n")
    append(log, b"e\n")
    append(tmp_path / f"{LOG}.3.gz", b"compressed\n")
    follower.start(follower.offsets)
    assert follower.poll() == [b"c", b"d", b"e"]
    assert follower.poll() == []


def test_a_moved_file_is_read_until_its_successor_is_there(follower, tmp_path):
    log, elsewhere = tmp_path / LOG, tmp_path / "elsewhere"
    append(log, b"a\n")
    follower.poll()
    log.rename(elsewhere)
    assert follower.poll() == []
    append(elsewhere, b"b\n")
    assert follower.poll() == [b"b"]
    append(elsewhere, b"c\n")
    append(log, b"d\n")
    assert sorted(follower.poll()) == [b"c", b"d"]
    assert follower.poll() == []
    assert len(follower.offsets) == 1


@pytest.mark.parametrize("after", [b"new\n", b"new and longer than what was there before\n"])
def test_truncation_starts_again(follower, tmp_path, after):
    log = tmp_path / LOG
    append(log, b"old line\nold line\n")
    follower.poll()
    log.write_bytes(after)
    assert follower.poll() == [after.rstrip(b"\n")]
    assert follower.tail.truncated == [LOG]
    assert len(follower.offsets) == 1


def test_truncation_and_as_much_again(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"a1\na2\n")
    follower.poll()
    os.truncate(log, 0)
    append(log, b"b1\nb2\n")
    later_ns = log.stat().st_mtime_ns + 10**9  # file systems tell some milliseconds apart
    os.utime(log, ns=(later_ns, later_ns))
    assert follower.poll() == [b"b1", b"b2"]
    assert follower.tail.truncated == [LOG]


def test_truncation_to_nothing(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"old\n")
    follower.poll()
    os.truncate(log, 0)
    assert follower.poll() == []
    append(log, b"new\n")
    assert follower.poll() == [b"new"]


def test_truncation_while_nobody_looked(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"same\nold\nold\n")
    follower.poll()
    follower.tail.close()
    log.write_bytes(b"same\nnew\n")
    follower.start(follower.offsets)
    assert follower.poll() == [b"same", b"new"]


def test_a_recycled_inode_is_not_taken_for_the_old_file(follower, tmp_path):
    log = tmp_path / LOG
    append(log, b"old 1\nold 2\n")
    follower.poll()
    follower.tail.close()
    log.write_bytes(b"new 1\nnew 2\nnew 3\n")  # same inode, other content
    follower.start(follower.offsets)
    assert follower.poll() == [b"new 1", b"new 2", b"new 3"]


def test_places_are_unique_and_survive_a_restart(follower, tmp_path):
    append(tmp_path / LOG, b"a\na\n")
    follower.poll()
    again = Follower(tmp_path)
    again.poll()
    again.tail.close()
    assert len(set(follower.places)) == 2
    assert again.places == follower.places


def test_an_endless_line_is_handed_out_in_pieces(follower, tmp_path):
    append(tmp_path / LOG, b"x" * (READ_BYTES + 10) + b"\nnext\n")
    assert not follower.tail.poll().caught_up
    assert follower.poll() == [b"x" * 10, b"next"]


def test_a_long_file_takes_several_polls(follower, tmp_path):
    lines = [b"%d" % n * 100 for n in range(20_000)]
    append(tmp_path / LOG, b"\n".join(lines) + b"\n")
    polls = 0
    while not follower.tail.poll().caught_up:
        polls += 1
    follower.restart()
    while follower.poll():
        polls += 1
    assert follower.lines == lines
    assert polls > 4


lines = st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    lines=lines,
    steps=st.lists(st.sampled_from(["write", "poll", "restart", "rotate"]), max_size=25),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=10),
)
def test_every_line_comes_once_in_order(tmp_path_factory, lines, steps, sizes):
    directory = tmp_path_factory.mktemp("log")
    follower = Follower(directory)
    # Numbered, so that no two files start with the same line.
    data = b"".join(b"%d:%s\n" % numbered for numbered in enumerate(lines))
    written, rotations, turn = 0, 0, 0
    for step in [*steps, "poll"]:
        if step == "write":
            size = sizes[turn % len(sizes)]
            append(directory / LOG, data[written : written + size])
            written, turn = min(written + size, len(data)), turn + 1
        elif step == "rotate" and data[:written].endswith(b"\n") and (directory / LOG).exists():
            rotations += 1
            (directory / LOG).rename(directory / f"{LOG}.{99 - rotations}")
        elif step == "restart":
            follower.restart()
        else:
            follower.poll()
    follower.tail.close()
    whole = data[:written].rpartition(b"\n")[0]
    assert sorted(follower.lines) == sorted(whole.split(b"\n") if whole else [])
    assert len(set(follower.places)) == len(follower.places)
