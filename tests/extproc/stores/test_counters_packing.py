"""What is sent to Lua, byte by byte, and what comes back."""

import struct

import msgspec
import pytest

from extproc.limits.base import Settled, Spent, Unit
from extproc.limits.rules import compile_limit
from extproc.stores.counters_packing import (
    Packer,
    pack_keys,
    pack_rule,
    pack_spent,
    unpack_rows,
    unpack_settled,
)
from tests.extproc.stores.limits import BEGIN, bucket, budget, leaky, semaphore, window

CHARGE = struct.Struct("<BBBHddddddB")


@pytest.mark.parametrize(
    ("limit", "packed"),
    [
        (bucket(), (1, 1, 0, 0, 1000, 1, 60_000, 1, 0, 7, 0)),
        (leaky(strict=True), (1, 1, 1, 0, 1000, 1, 1000, 1, 0, 7, 0)),
        (bucket(shadow=True, cached_weight=0.4), (1, 1, 2, 600, 1000, 1, 60_000, 1, 0, 7, 0)),
        (window(period_s=60, strict=True, shadow=True), (2, 1, 3, 0, 1000, 10**6, 0, 0, 0, 7, 0)),
        (semaphore(), (3, 5, 0, 0, 2, 0, 0, 0, 0, 7, 0)),
    ],
)
def test_charges(limit, packed):
    packer, ready = Packer(), compile_limit(limit)
    for _ in range(2):
        assert CHARGE.unpack(packer.charge(ready, 7, BEGIN)) == packed


def test_a_budget_is_packed_with_the_edges_of_its_periods():
    ready = compile_limit(budget(alerts=(80, 300)))
    packed = Packer().charge(ready, 7, BEGIN)
    edges = ready.rule.periods.around(BEGIN)
    assert CHARGE.unpack(packed[: CHARGE.size]) == (4, 6, 0, 0, 1000, *edges, 7, 4)
    assert struct.unpack("<HH", packed[CHARGE.size :]) == (80, 300)
    with pytest.raises(TypeError, match="depends on the time"):
        pack_rule(ready)


def test_every_unit_has_its_number():
    numbers = [
        pack_rule(compile_limit(msgspec.structs.replace(bucket(), unit=unit)))[1]
        for unit in Unit
        if unit is not Unit.CONCURRENT
    ]
    assert sorted(numbers) == [1, 2, 3, 4, 6]


def test_policies_come_and_go():
    packer = Packer()
    for amount in range(1, 10_050):
        packer.charge(compile_limit(bucket(amount=amount)), 1, 0)
    assert len(packer._packed) < 100


def test_keys():
    assert pack_keys([b"ab", b"cde"]) == b"\x02\x00\x03\x00abcde"


def test_what_was_spent():
    assert struct.unpack("<Bdddd", pack_spent(Spent(1, 2, 3, 4))) == (1, 1, 2, 3, 4)
    assert pack_spent(None) == bytes(33)


def test_rows():
    packed = b"ab" + struct.pack("<dddddd", 5, 1.5e6, 0, -3, 0, -1)
    assert list(unpack_rows(packed, 2)) == [(5, 1.5e6, 0), (-3, 0, -1)]


def test_settled():
    numbers = struct.pack("<BddHH", 6, 100, 30, 50, 80)
    key = b"{x}:m:money:a:\xed\xa0\x80"
    assert list(unpack_settled([key, numbers], 4)) == [
        Settled("money", "a:\ud800", Unit.USD, 100, 30, (50, 80))
    ]
