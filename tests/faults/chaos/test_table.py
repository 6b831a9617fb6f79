import pytest

from faults.chaos.seen import ChaosError, Seen, check
from faults.chaos.table import BEGIN, CASES, END, Case, line, run, write_into

SEEN = Seen("200, the whole answer", "1", "200, all of it")
FINE = Case("an engine sleeps", lambda _scene: SEEN)


def test_a_line():
    assert line(FINE, SEEN) == "| an engine sleeps | 200, the whole answer | 1 | 200, all of it |"


def test_a_case_that_fails_is_named():
    bad = Case("an engine lies", lambda _scene: check(holds=False, said="nobody noticed"))
    with pytest.raises(ChaosError, match="an engine lies: nobody noticed"):
        run(bad, None)


def test_no_two_cases_have_one_name():
    assert len({case.what for case in CASES}) == len(CASES)


def test_a_page_gets_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write_into(page, [line(FINE, SEEN)])
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| what happens |")
    assert text.endswith(f"all of it |\n{END}\nafter\n")
    assert "old" not in text
    page.write_text("no place")
    with pytest.raises(ValueError, match="has no place"):
        write_into(page, [])
