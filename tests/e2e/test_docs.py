"""Every example in README and docs is run: shell, Python and YAML blocks, against a live gateway."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from typer.main import get_command

from docs import tables
from extproc.cli.commands import COMMANDS, build
from extproc.policy.load import load
from extproc.policy.schema import policy_schema
from tests.e2e.conftest import ROOT, free_port

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PATH = f"{ROOT / '.venv' / 'bin'}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
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


def load_tests():
    found = [block for block in blocks("sh") if "KEY=sk-headgate-acme" in block.values[1]]
    assert len(found) == 2
    return found


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
        shell = [shutil.which("bash"), "-euo", "pipefail", "-c"]
        command = shell if language == "sh" else [sys.executable, "-c"]
        return subprocess.run(
            [*command, code], cwd=here, env={**os.environ, "PATH": PATH},
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    return execute


@pytest.mark.parametrize(("language", "code"), blocks("sh", "python"))
def test_example(run, language, code):
    done = run(language, code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(("language", "code"), load_tests())
def test_a_load_test_that_nobody_serves_has_failed(run, language, code):
    assert run(language, code.replace("sk-headgate-acme", "sk-nobody")).returncode != 0


@pytest.mark.parametrize(("language", "code"), blocks("yaml"))
def test_policy_example(language, code, tmp_path):
    (tmp_path / "p.yaml").write_text(code)
    assert load([tmp_path]).models


@pytest.mark.parametrize(("language", "code"), blocks("json"))
def test_json_example(language, code):
    assert yaml.safe_load(code)


def sections(page):
    """What links into a page may name: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_and_links(page):
    text = page.read_text()
    assert tables.renew(text) == text, "run: python docs/tables.py"
    for target, section in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not section or section in sections(file), f"{target}#{section}"


def flags(command):
    """Each flag of a command and of those below it, with its opposite."""
    for option in command.params:
        if option.param_type_name == "option" and option.name != "help":
            yield [*option.opts, *option.secondary_opts]
    for below in getattr(command, "commands", {}).values():
        yield from flags(below)


def test_every_flag_and_variable_is_explained():
    text = "".join(page.read_text() for page in PAGES)
    for names in flags(get_command(build(COMMANDS))):
        assert any(re.search(rf"{name}\b", text) for name in names), names
    settings = (ROOT / "extproc" / "settings.py").read_text()
    for name in set(re.findall(r"HEADGATE_[A-Z_]+", settings)):
        assert name in (ROOT / "docs" / "running.md").read_text(), name


def members(schema):
    """The names of all members that a policy may have."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
    for inner in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(inner, dict | list):
            yield from members(inner)


def test_every_member_of_a_policy_is_explained():
    text = "".join(page.read_text() for page in PAGES)
    explained = set(re.findall(r"[`{ \n](\w+)(?=:|`)", text))
    assert set(members(policy_schema())) <= explained
