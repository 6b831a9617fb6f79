import os

from ledger.room import reserve


def test_room_changes_nothing_that_a_reader_sees(tmp_path):
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, b"one\n")
        taken = reserve(fd, 1 << 20)
        assert path.read_bytes() == b"one\n"
        if taken:
            assert os.fstat(fd).st_blocks * 512 >= 1 << 20
        assert reserve(fd, 1 << 20) is taken
        os.write(fd, b"two\n")
        assert path.read_bytes() == b"one\ntwo\n"
    finally:
        os.close(fd)


def test_no_room_where_nothing_can_be_written(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"")
    with path.open("rb") as file:
        assert not reserve(file.fileno(), 1 << 20)
