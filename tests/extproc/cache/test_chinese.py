"""Chinese questions come down to what is of weight."""

import pytest

from extproc.cache.chinese import reduce


@pytest.mark.parametrize(
    ("text", "asks", "rest"),
    [
        ("请问怎么重置密码", {"how"}, "重置密码"),
        ("重置密码的方法是什么", {"how"}, "重置密码"),
        ("能不能告诉我北京在哪里", {"where"}, "北京"),
        ("可不可以退款", {"may"}, "退款"),
        ("不能退款吗", {"may"}, "不退款"),
        ("python 3.11 多少钱", {"price"}, "python3.11"),
    ],
)
def test_reduce(text, asks, rest):
    found = reduce(text)
    assert (found[0], "".join(found[1])) == (asks, rest)


def test_times_stand_apart():
    assert reduce("明天天气")[2] == {"明天"}
