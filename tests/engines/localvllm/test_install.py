import asyncio
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engines.localvllm import install
from engines.localvllm.install import InstallError, Needs

NOTHING = Needs(download_gb=0, disk_gb=0, machine=None)


def silent(_text: str) -> None:
    pass


def make_wheel(directory: Path) -> Path:
    """The smallest wheel: one module, without dependencies."""
    wheel = directory / "feather-1.0-py3-none-any.whl"
    about = "feather-1.0.dist-info"
    files = {
        "feather.py": "WEIGHT_G = 1\n",
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: feather\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


@pytest.mark.long
async def test_an_interrupted_installation_is_repaired_and_a_finished_one_left_alone(
    tmp_path: Path,
):
    wheel = make_wheel(tmp_path)
    lock, directory = tmp_path / "some.lock", tmp_path / "env"
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    said: list[str] = []

    lock.write_text(f"feather @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(InstallError, match=r"DO NOT MATCH THE HASHES.*all of the output: .*log"):
        await install.install(directory, lock, NOTHING, silent)
    (directory / "half-written").mkdir()

    lock.write_text(f"feather @ {wheel.as_uri()} --hash=sha256:{right}\n")
    assert await install.install(directory, lock, NOTHING, said.append)
    assert [text[:3] for text in said if text[1] == "/"] == ["1/2", "2/2"]
    assert not (directory / "half-written").exists()
    log = tmp_path / "log"
    check = (str(directory / "bin" / "python"), "-c", "import feather; print(feather.WEIGHT_G)")
    await install.run(check, log, silent)
    assert log.read_text() == "1\n"

    said.clear()
    assert not await install.install(directory, lock, NOTHING, said.append)
    assert said == []


async def test_another_lock_means_another_installation(tmp_path: Path):
    lock, directory = tmp_path / "some.lock", tmp_path / "env"
    lock.write_text("# one")
    directory.mkdir()
    (directory / install.STAMP).write_text(install.lock_digest(lock))
    assert not await install.install(directory, lock, NOTHING, silent)
    lock.write_text("# two")
    with pytest.raises(InstallError, match=r"needs 1000\d+\.\d GB free"):
        await install.install(directory, lock, Needs(disk_gb=1e6, machine=None), silent)
    assert (directory / install.STAMP).read_text() == "unfinished"


async def test_a_directory_that_is_not_ours_is_never_emptied(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InstallError, match="was not made by this command"):
        await install.install(tmp_path, install.LOCK, NOTHING, silent)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


async def test_two_installations_do_not_mix(tmp_path: Path):
    with (
        install.claimed(tmp_path / "env") as _stamp,
        pytest.raises(InstallError, match=r"another installation .* is running"),
    ):
        await install.install(tmp_path / "env", install.LOCK, NOTHING, silent)


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InstallError, match=r"cannot install into .*file/env"):
        await install.install(tmp_path / "file" / "env", install.LOCK, NOTHING, silent)


def test_a_missing_lock_is_named(tmp_path: Path):
    with pytest.raises(InstallError, match=r"cannot read the lock file .*none\.lock"):
        install.lock_digest(tmp_path / "none.lock")


def test_the_shipped_lock_pins_every_package_by_hash_and_names_no_index():
    text = install.LOCK.read_text()
    entries = [line for line in text.splitlines() if line[:1].isalnum()]
    assert len(entries) > 100
    assert all("==" in entry and entry.endswith("\\") for entry in entries)
    assert "://" not in text


async def test_another_machine_is_refused_before_anything_is_touched(tmp_path: Path):
    elsewhere = Needs(machine="Plan9 mips with Python 2.7")
    with pytest.raises(InstallError, match=rf"for Plan9 mips .*; this is {install.this_machine()}"):
        await install.install(tmp_path / "env", install.LOCK, elsewhere, silent)
    assert [path.name for path in (tmp_path / "env").iterdir()] == [install.STAMP]


def test_this_machine_or_any_machine_is_fine():
    install.check_machine(Needs(machine=install.this_machine()))
    install.check_machine(NOTHING)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("Collecting torch==2.13.0", None),
        ("  Downloading feather-1.0-py3-none-any.whl (1.5 MB)", None),
        ("  Downloading tiny-1.0-py3-none-any.whl (15 kB)", None),
        ("  Downloading torch-2.13.0-cp311-x.whl (526.6 MB)", "downloading torch, 526.6 MB"),
        ("  Downloading a/b/nv_blas-1-x.whl (1.2 GB)", "downloading nv-blas, 1.2 GB"),
        (
            "Installing collected packages: a, b",
            "unpacking, with few words for about half a minute",
        ),
    ],
)
def test_progress_tells_what_takes_long(line: str, told: str | None):
    assert install.progress(line) == told


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "pip said nothing"),
        (["Collecting a\n", "Killed\n", "\n"], "Killed"),
        (["ERROR: No space left on device\n", "ERROR: again\n"], "No space left on device"),
        (
            ["WARNING: Retrying (Retry(total=4)) after\n", "ERROR: No version of a\n"],
            "the package index does not answer: No version of a",
        ),
    ],
)
def test_failure_picks_the_line_that_explains(lines: list[str], reason: str):
    assert install.failure(lines) == reason


async def test_a_step_that_is_cancelled_leaves_no_process(tmp_path: Path):
    log = tmp_path / "log"
    started = asyncio.Event()
    script = "import os, time; print(f'Installing collected packages {os.getpid()}', flush=True); time.sleep(60)"

    def note(_text: str) -> None:
        started.set()

    async with asyncio.TaskGroup() as group:
        step = group.create_task(install.run((sys.executable, "-c", script), log, note))
        await started.wait()
        step.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text().split()[-1]), 0)


async def test_silence_is_explained():
    stream = asyncio.StreamReader()
    said: list[str] = []

    def speak_after_two(text: str) -> None:
        said.append(text)
        if len(said) == 2:
            stream.feed_data(b"done\n")

    assert await install.next_line(stream, speak_after_two, quiet_s=0.01) == b"done\n"
    assert said == ["still at it", "still at it"]


def test_the_command_ends_with_one_clear_line_when_it_cannot(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    command = [sys.executable, "-m", "engines.localvllm.install", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: vLLM is not installed: ")
    assert done.stderr.count("\n") == 1


def test_the_command_has_nothing_to_do_when_all_is_there(tmp_path: Path):
    (tmp_path / install.STAMP).write_text(install.lock_digest(install.LOCK))
    command = [sys.executable, "-m", "engines.localvllm.install", str(tmp_path)]
    assert subprocess.check_output(command, text=True).endswith(f"already in {tmp_path}\n")
