import random

from bench.usage import describe, forget, make, measure, report, rows
from ledger.database import open_database
from ledger.question import Question


def test_requests_are_made_up_the_same_each_time():
    first, again = (list(rows(50, random.Random(1))) for _ in range(2))
    assert first == again
    assert [row.start_ms for row in first] == sorted(row.start_ms for row in first)
    assert all(row.prompt_tokens is not None and row.uncached_pusd is not None for row in first)


def test_a_small_ledger(tmp_path, capsys):
    path = tmp_path / "ledger.sqlite"
    make(path, 200)
    describe(path)
    assert "200 entries" in capsys.readouterr().out
    forget(path)
    database = open_database(path)
    found, wall_s, cpu_s = measure(database, Question(by=()))
    database.close()
    assert (found, wall_s > 0, cpu_s > 0) == (1, True, True)
    report(path)
    assert "| tenant,model |" in capsys.readouterr().out
