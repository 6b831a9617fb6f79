import pytest

from extproc.cli.layout import Layout
from extproc.cli.memory import keep_in_memory, let_go


@pytest.fixture
def memory(tmp_path):
    (tmp_path / "shm").mkdir()
    return tmp_path / "shm"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics"


def test_what_is_written_there_is_in_memory(path, memory):
    assert keep_in_memory(path, memory)
    (path / "counter_1.db").write_bytes(b"x")
    (there,) = memory.iterdir()
    assert [file.name for file in there.iterdir()] == ["counter_1.db"]
    assert there.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("before", ["on disk", "in memory", "gone with a reboot"])
def test_it_begins_empty(path, memory, before):
    if before == "on disk":
        path.mkdir()
        (path / "counter_1.db").write_bytes(b"x")
    else:
        keep_in_memory(path, memory)
        (path / "counter_1.db").write_bytes(b"x")
    if before == "gone with a reboot":
        path.readlink().rename(memory / "elsewhere")
        (memory / "elsewhere" / "counter_1.db").unlink()
        (memory / "elsewhere").rmdir()
    assert keep_in_memory(path, memory)
    assert not list(path.iterdir())
    assert len(list(memory.iterdir())) == 1


def test_without_memory_it_is_on_disk(path, memory):
    assert not keep_in_memory(path, memory / "none")
    assert path.is_dir()
    assert not path.is_symlink()
    assert not keep_in_memory(path, memory / "none")


def test_nothing_is_left_behind(path, memory):
    keep_in_memory(path, memory)
    let_go(path)
    let_go(path)
    assert not list(memory.iterdir())
    assert not path.is_symlink()


def test_a_layout_is_made_over_what_a_reboot_left(tmp_path, memory):
    layout = Layout(tmp_path / "s")
    layout.make()
    keep_in_memory(layout.metrics, memory)
    layout.metrics.readlink().rmdir()
    layout.make()
    assert layout.metrics.is_dir()
