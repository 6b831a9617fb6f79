"""The command itself, in a process of its own: it starts everything, so only its refusals are tested."""

import subprocess
import sys

import pytest


def bench(*flags):
    argv = [sys.executable, "-m", "bench", *flags]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_binary_is_one_line(tmp_path):
    done = bench("--envoy", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("bench: --envoy: there is no file")


@pytest.mark.parametrize("flags", [["--only", "everything"], ["--slow"]])
def test_an_unknown_flag_is_refused(flags):
    assert bench(*flags).returncode == 2
