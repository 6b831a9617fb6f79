"""What outlives a policy."""

from extproc.counting.lasting import Lasting
from extproc.counting.mix import Mix


async def test_what_was_learned_stays_with_the_model():
    lasting = Lasting()
    first = lasting.estimator("a")
    first.learn(Mix(letters=4000), 2000)
    assert lasting.estimator("a") is first
    assert lasting.estimator("b").rates != first.rates
    await lasting.close()


async def test_nothing_is_open_that_was_not_needed():
    lasting = Lasting()
    await lasting.close()
    assert lasting.lengths.expect("k", "m") > 0
