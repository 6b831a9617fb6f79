"""Every example in README and docs is run: shell, Python and YAML blocks, against a live gateway."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from docs import tables
from extproc.policy.load import load
from tests.e2e.conftest import ROOT, free_port

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
KNOWN = {"sh", "python", "yaml", "json", "text"}


def blocks(*languages):
    """The code blocks of these languages, as test parameters."""
    return list(find_blocks(languages))


def find_blocks(languages):
    for page in PAGES:
        for number, (language, code) in enumerate(BLOCK.findall(page.read_text())):
            assert language in KNOWN, f"{page.name}: a {language} block that no test runs"
            if language in languages:
                yield pytest.param(language, code, id=f"{page.name}-{number}")


@pytest.fixture
def run(gateway, tmp_path):
    """Run code as a reader would, but on this gateway's ports and state."""
    with gateway.http() as http:  # so that there is something to report
        http.get("/v1/models")

    def execute(language, code):
        code = code.replace("127.0.0.1:8080", f"127.0.0.1:{gateway.port}")
        code = code.replace("127.0.0.1:9090", f"127.0.0.1:{gateway.metrics_port}")
        for port in sorted(set(re.findall(r"\b19\d{3}\b", code))):  # what an example listens on
            code = code.replace(port, str(free_port()))
        here = tmp_path / "clone"
        here.mkdir()
        (here / ".headgate").symlink_to(gateway.state)
        (here / "extproc").symlink_to(ROOT / "extproc")
        path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
        shell = [shutil.which("bash"), "-euo", "pipefail", "-c"]
        command = shell if language == "sh" else [sys.executable, "-c"]
        return subprocess.run(
            [*command, code], cwd=here, env={**os.environ, "PATH": path},
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    return execute


@pytest.mark.parametrize(("language", "code"), blocks("sh", "python"))
def test_example(run, language, code):
    done = run(language, code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("language", "code"), blocks("yaml"))
def test_policy_example(language, code, tmp_path):
    (tmp_path / "p.yaml").write_text(code)
    assert load([tmp_path]).models


@pytest.mark.parametrize(("language", "code"), blocks("json"))
def test_json_example(language, code):
    assert yaml.safe_load(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_and_links(page):
    text = page.read_text()
    assert tables.renew(text) == text, "run: python docs/tables.py"
    for target in re.findall(r"\]\(([^)#:]+)[#)]", text):
        assert (page.parent / target).exists(), target
