"""What outlives a policy."""

import pytest

from engines.watch.messages import Used
from extproc.counting.lasting import Lasting
from extproc.counting.lengths import LEAST_SEEN
from extproc.counting.mix import Mix


async def test_what_was_learned_stays_with_the_model():
    lasting = Lasting()
    first = lasting.estimator("a")
    first.learn(Mix(letters=4000), 2000)
    assert lasting.estimator("a") is first
    assert lasting.estimator("b").rates != first.rates
    await lasting.close()


@pytest.mark.parametrize("mix", ["", "1 2", "4000 0 0 0 1"])
async def test_what_engines_have_counted_teaches(mix):
    lasting = Lasting()
    first = lasting.estimator("m").rates
    for _ in range(LEAST_SEEN):
        lasting.learn(Used("m", "k", 2000, mix, 50))
    assert (lasting.estimator("m").rates != first) == (mix == Mix(4000, messages=1).encode())
    assert 50 <= lasting.lengths.expect("k", "m") <= 60
    for _ in range(10 * LEAST_SEEN):
        lasting.learn(Used("m", "k", 2000, "", 0))
    assert lasting.lengths.expect("k", "m") >= 50, "where nothing is generated nothing is learned"
    await lasting.close()


async def test_nothing_is_open_that_was_not_needed():
    lasting = Lasting()
    await lasting.close()
    assert lasting.lengths.expect("k", "m") > 0
