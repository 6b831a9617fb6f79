import io
import json

import msgspec
import pytest

from faults.report import BEGIN, END, HEAD, Report, show, to_json, to_markdown, write_into
from faults.run import Result, Setting
from faults.verdict import judge
from tests.faults.records import evidence, line

GOOD = Result("settle-kill", judge(evidence()), 1.25, 0.5)
BAD = Result("envoy-kill", judge(evidence(lines=[line(cut=True)])), 1.25, None)
REPORT = Report(Setting(), [GOOD, BAD], ["disk-full: nothing can be mounted here"])


def test_text_names_every_problem():
    out = io.StringIO()
    show(REPORT, out)
    text = out.getvalue()
    assert "settle-kill" in text
    assert "never" in text
    assert "envoy-kill: t-1 (chat, whole): is booked as cut" in text
    assert "not run: disk-full: nothing can be mounted here" in text


def test_long_lists_are_cut():
    many = msgspec.structs.replace(BAD.verdict, problems=[f"p{n}" for n in range(25)])
    out = io.StringIO()
    show(Report(Setting(), [msgspec.structs.replace(BAD, verdict=many)]), out)
    assert "p19" in out.getvalue()
    assert "p20" not in out.getvalue()
    assert "and 5 more" in out.getvalue()


def test_json_says_whether_it_is_clean():
    assert json.loads(to_json(REPORT))["clean"] is False
    assert json.loads(to_json(Report(Setting(), [GOOD])))["clean"] is True


def test_markdown_goes_where_the_marks_are(tmp_path):
    page = tmp_path / "p.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_into(page, REPORT)
    text = page.read_text()
    assert text == f"before\n{BEGIN}\n{to_markdown(REPORT)}\n{END}\nafter\n"
    assert {line.count("|") for line in to_markdown(REPORT).splitlines()} == {len(HEAD) + 2}
    page.write_text("no marks")
    with pytest.raises(ValueError, match="no place"):
        write_into(page, REPORT)
