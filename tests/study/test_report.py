import pytest

from study.cases import CASES
from study.plan import OURS, PICKERS
from study.plots import plot
from study.report import BEGIN, END, body, put, report
from study.results import Results
from study.tuned import Setting, Tuned
from tests.study.figures import lines

PAGE = f"# Title\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"
TUNED = Tuned(
    dict.fromkeys(CASES, 50.0), {}, (Setting("chwbl", "rag", {"key_blocks": 8}, 11, -0.5),)
)


def results():
    found = {}
    for case in (CASES["rag"], CASES["mixed"]):
        for load in case.loads:
            for rank, picker in enumerate(PICKERS, 1):
                found |= lines(case.title, picker, load, [1.0 / rank, 1.1 / rank])
    found |= lines("rag", OURS, 80, [0.1, 0.1], {"gateways": 4}, hit_ratio=0.4)
    return Results(found)


def test_a_report_is_tables_and_pictures_and_the_same_every_time(tmp_path):
    page = tmp_path / "study.md"
    page.write_text(PAGE)
    report(results(), TUNED, page, 2)
    text = page.read_text()
    assert text.startswith("# Title\n\nBefore.")
    assert text.endswith("After.\n")
    assert "old" not in text
    for wanted in ("| mixed 80 % | 2 | 0.117", "key_blocks: 8", "**missed**"):
        assert wanted in text
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "study").glob("*.svg")}
    assert set(pictures) == {"rag.svg", "mixed.svg"}
    assert max(map(len, pictures.values())) < 60_000
    assert (tmp_path / "study" / "tables.md").read_text().count("\n## ") == 10
    assert body(results(), TUNED, "study", 2) in text
    plot(results(), tmp_path)
    assert pictures["rag.svg"] == (tmp_path / "rag.svg").read_bytes()


def test_a_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / "study.md"
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="study: begin"):
        put(page, "new")
    assert page.read_text() == "# Title\n"
