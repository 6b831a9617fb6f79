"""The benchmark of limits runs, and says what it should."""

from bench.limits import Figures, main, to_text


def test_it_runs(capsys):
    assert main(["--quick"]) == 0
    out = capsys.readouterr().out
    for name in ("redis-py INCR", "8 buckets: reserve", "8 mixed: settle", "8 mixed in memory"):
        assert name in out
    assert "goal: reserving at most 2 x" in out


def test_ratios_are_by_round():
    """A round in which everything took ten times as long changes nothing."""
    base, twice = (
        Figures(latencies=[[unit, unit, 9.0], [10 * unit] * 3], calls=3, together_s=1.0)
        for unit in (1.0, 2.0)
    )
    assert twice.ratio(base) == 2.0
    for figures in (base, twice):
        figures.together_calls = 1
    text = to_text({"redis-py INCR": base, "8 buckets: reserve": twice})
    assert "2.00: met" in text
