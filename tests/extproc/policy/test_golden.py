"""Policies, good and bad, and what becomes of them.

`golden/*.txt` are files, each under `=== NAME`, then `----------`, then either the normalised view
or the mistakes, as people see them. After a change that is meant, write them anew and read what
differs:

    python -m tests.extproc.policy.test_golden
"""

from pathlib import Path

import pytest
import yaml

from extproc.errors import PolicyError
from extproc.policy.load import load_sources
from extproc.policy.show import as_yaml, show

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.txt"))
LINE = "----------\n"


def unpack(text):
    """Split a golden text into its files and what is expected."""
    given, _, expected = text.partition(LINE)
    sections = [section.partition("\n") for section in given.split("=== ")[1:]]
    return {Path(name): content.encode() for name, _, content in sections}, expected


def outcome(sources):
    try:
        tree = show(load_sources(sources))
    except PolicyError as exc:
        return f"{exc}\n"
    return as_yaml({name: value for name, value in tree.items() if name != "version"})


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path):
    sources, expected = unpack(path.read_text())
    assert outcome(sources) == expected


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_normalised_view_is_a_policy_of_the_same_meaning(path):
    """Nothing is lost or invented on the way: but for its digests, what is shown loads again."""
    sources, _ = unpack(path.read_text())
    shown = outcome(sources)
    if not shown.startswith("salt:"):
        return
    whole = shown.replace("...", "0" * 52)
    assert outcome({Path("again.yaml"): whole.encode()}) == shown


def test_there_are_many_of_both_kinds():
    good = [path for path in GOLDEN if isinstance(yaml.safe_load(expected(path)), dict)]
    assert len(GOLDEN) >= 60
    assert len(good) >= 15


def expected(path):
    text = unpack(path.read_text())[1]
    return text if text.startswith("salt:") else "[]"


if __name__ == "__main__":
    for golden in GOLDEN:
        given, _, _ = golden.read_text().partition(LINE)
        golden.write_text(given + LINE + outcome(unpack(given)[0]))
