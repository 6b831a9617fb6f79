"""What holds for the whole tree: sizes, mirrors, locks, and words that should not be there."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("extproc", "ledger", "audit", "telemetry", "dataplane", "engines", "sidecars", "alerts")
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
E2E_ONLY = ("extproc/cli/", "__main__.py")
"""Composition and commands: their tests are the ones that run the whole."""


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_source(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree), "say in a line what this file is"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno <= LONGEST_FUNCTION, node.name
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)


def test_every_source_has_its_test():
    tests = {name(path) for path in (ROOT / "tests").rglob("test_*.py")}
    missing = []
    for path in SOURCES:
        relative = name(path)
        has_code = len(ast.parse(path.read_text()).body) > 1
        if not has_code or any(part in relative for part in E2E_ONLY):
            continue
        folder, _, file = relative.rpartition("/")
        stem = file.replace("__init__", "init")
        if f"tests/{folder}/test_{stem}" not in tests:
            missing.append(relative)
    assert not missing


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.lock")), ids=name)
def test_locks_are_hashed_and_name_no_index(path):
    text = path.read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert not re.search(r"^--|--(extra-)?index-url|--find-links", text, re.MULTILINE)
    for line in text.splitlines():
        if line and not line.startswith((" ", "#")):
            assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==", line), line


def test_every_dependency_is_explained():
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    for file in ("app", "dev", "tools", "names", "uv"):
        for line in (ROOT / "requirements" / f"{file}.in").read_text().splitlines():
            package = re.split(r"[\[=]", line)[0]
            if package and not line.startswith("-r"):
                assert package in explained, package


def test_the_distribution_names_what_the_lock_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = (ROOT / "requirements" / "app.in").read_text().split()
    assert sorted(project["dependencies"]) == sorted(wanted)
