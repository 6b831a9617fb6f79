from engines.sim.sequence import Job, Sequence


def test_tokens_and_what_is_computed():
    sequence = Sequence(Job(key=1, blocks=(), prompt_tokens=40, output_tokens=9), 0, 0.0)
    assert (sequence.tokens_at(7), sequence.computed_at(7)) == (0, 0)
    sequence.joined = 7
    assert [sequence.tokens_at(step) for step in (7, 8, 15)] == [1, 2, 9]
    assert [sequence.computed_at(step) for step in (7, 8, 15)] == [40, 41, 48]
    sequence.generated, sequence.base, sequence.joined = 3, 43, 20
    assert (sequence.tokens_at(20), sequence.computed_at(20)) == (4, 43)
