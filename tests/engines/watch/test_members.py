"""The file that says who was found."""

import msgspec
import pytest

from engines.watch.config import Dns, Pool, Static
from engines.watch.members import NAME, MembersFile, read_members
from engines.watch.messages import Member, Members

POOLS = [
    Pool("named", "vllm", (Static("10.0.0.9:1"),)),
    Pool("found", "vllm", dns=(Dns("vllm.llm.svc", 8000),)),
]


def members(*found):
    return Members({"named": (Member("10.0.0.9:1"),), "found": found})


def test_discovered_pools_alone_and_those_that_are_ready(tmp_path):
    file = MembersFile(tmp_path)
    assert read_members(tmp_path / NAME) == {}
    file.write(POOLS, members(Member("10.0.0.2:1"), Member("10.0.0.1:1")))
    assert read_members(tmp_path / NAME) == {"found": ["10.0.0.1:1", "10.0.0.2:1"]}
    file.write(POOLS, members(Member("10.0.0.2:1", "draining"), Member("10.0.0.1:1")))
    assert read_members(tmp_path / NAME) == {"found": ["10.0.0.1:1"]}


def test_it_is_replaced_when_something_has_changed(tmp_path):
    file = MembersFile(tmp_path)
    file.write(POOLS, members(Member("10.0.0.1:1")))
    before = (tmp_path / NAME).stat().st_ino
    file.write(POOLS, members(Member("10.0.0.1:1")))
    assert (tmp_path / NAME).stat().st_ino == before
    file.write(POOLS, members())
    assert read_members(tmp_path / NAME) == {"found": []}


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path, caplog):
    file = MembersFile(tmp_path / "run")
    (tmp_path / "run").write_text("in the way")
    file.write(POOLS, members())
    assert [record.message for record in caplog.records] == ["members_not_written"]
    (tmp_path / "run").unlink()
    file.write(POOLS, members())
    assert read_members(tmp_path / "run" / NAME) == {"found": []}


def test_a_file_of_something_else(tmp_path):
    (tmp_path / NAME).write_text("[1]")
    with pytest.raises(msgspec.MsgspecError):
        read_members(tmp_path / NAME)
