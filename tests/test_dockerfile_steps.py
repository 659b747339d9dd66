"""What is in the images: the Dockerfile's steps are run in clean root file systems, and programs in those."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dockerfiles import built
from tests.fakes import make_dataset
from tests.pools import end_pool, start_pool
from tests.processes import free_port
from tests.roots import Image, why_not
from tests.small_world import contents
from tests.test_dockerfile import pin
from tests.test_pipeline_pools import alone, photos, start
from tests.tiny_train import tiny_flags
from train.launch.kubernetes import Kubernetes

__all__ = ["alone", "photos"]  # fixtures

pytestmark = pytest.mark.slow
TOOLS = ("gcc", "g++", "cc", "c++", "ld", "make", "git")
IMPORT_ALL = """
import importlib, pkgutil
import filters, manifests, pipeline
for package in (filters, manifests, pipeline):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from filters import looks
from filters.language import LanguageGuess
print("site-packages" in pipeline.__file__, looks._compiled() is not None)
"""


def cpu_torch() -> str | None:
    """Return why torch would come with all of CUDA here."""
    asked = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"]
    command = [sys.executable, "-m", "pip", *asked, f"torch=={pin('torch')}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"no torch can be had: {done.stderr.strip()[-200:]}"
    version = json.loads(done.stdout)["install"][0]["metadata"]["version"]
    return None if version.endswith("+cpu") else f"pip finds torch {version}, which brings 3 GB of CUDA"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    """All targets, made once; the one with torch where that is the CPU's."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("roots")
    made = built(folder, ["pipeline", "pool", *([] if cpu_torch() else ["train"])])
    print(*(f"{name}: {image.num_mb()} MB" for name, image in made.items()), sep="\n")
    yield made
    subprocess.run(["rm", "--recursive", folder], check=True)


@pytest.fixture(params=["pipeline", "train"])
def image(request: pytest.FixtureRequest, images: dict[str, Image]) -> Image:
    """Each target."""
    if request.param not in images:
        pytest.skip(str(cpu_torch()))
    return images[request.param]


def test_an_image_has_no_build_tools_and_a_user_who_owns_data_alone(image: Image) -> None:
    assert image.user == "1000:1000"
    looked_for = " -o ".join(f"-name {tool}" for tool in TOOLS)
    assert image.run("sh", "-c", rf"find / -xdev -type f,l \( {looked_for} \) -perm /111", user="0:0") == ""
    assert image.run("find", "/data", "-user", "root") == ""
    assert image.run("sh", "-c", "touch /data/mine && rm /data/mine; id -un") == "openwit\n"
    written = image.run("sh", "-c", "find / -xdev -writable -type d 2>/dev/null; true").split()
    own = (
        "/tmp",
        "/var/tmp",
        "/run/lock",
        "/dev",
        "/proc",
        "/data",
        "/home/openwit",
        "/opt/apache/beam-venv",
    )
    assert [folder for folder in written if not folder.startswith(own)] == []


def test_an_image_says_what_it_is(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image.labels.items()}
    assert labels["version"] == "0.1.0"
    assert labels["base.name"].startswith("docker.io/library/python:3.11.")
    assert {"title", "description", "revision", "created", "source", "licenses"} < set(labels)


def test_a_worker_has_all_that_the_phases_need(images: dict[str, Image]) -> None:
    assert images["pipeline"].run("python", "-c", IMPORT_ALL) == "True True\n"
    said = images["pipeline"].run(
        "python", "-m", "filters", "explain", "--caption", "Ein roter Schirm steht am Strand"
    )
    assert "language" in said
    assert " de" in said
    packages = images["pipeline"].run("python", "-m", "pip", "list", "--format=freeze")
    assert f"apache-beam=={pin('apache-beam')}" in packages
    assert f"s3fs=={pin('s3fs')}" in packages


@pytest.mark.parametrize("user", ["1000:1000", "4711:4711"])
def test_a_pool_of_the_image_builds_for_a_driver_outside(
    images: dict[str, Image], photos: Path, alone: dict[str, bytes], tmp_path: Path, user: str
) -> None:
    shared = (str(photos), str(tmp_path), str(Path.cwd()))
    open_to_all = ("sh", "-c", 'umask 0 && exec "$@"', "sh")  # the workers are another user than this one
    for folder in (photos, tmp_path):
        folder.chmod(0o777)
    before = images["pool"].inside(shown={path: path for path in shared}, user=user)
    pool, address = start_pool(before=before, python="python")
    try:
        driver = start(photos, tmp_path / "dataset", [address], before=open_to_all)
        assert (driver.communicate(timeout=300)[1], driver.returncode) == ("", 0)
    finally:
        end_pool(pool)
    owners = {path.stat().st_uid for path in (tmp_path / "dataset").rglob("*") if path.is_file()}
    assert owners == {0, int(user.partition(":")[0])}
    assert contents(tmp_path / "dataset") == alone


def test_a_pools_health_check_says_whether_it_serves(images: dict[str, Image]) -> None:
    image, port = images["pool"], str(free_port())  # a container has all ports, a root those of this machine
    serve, ask = (
        [word.replace("50000", port) for word in words] for words in (image.entrypoint, image.health)
    )
    check = [*image.inside(), *ask]
    assert subprocess.run(check, capture_output=True).returncode == 1
    pool = subprocess.Popen([*image.inside(), *serve], stdout=subprocess.PIPE, text=True)
    try:
        assert pool.stdout is not None
        assert pool.stdout.readline().startswith(f"pool at 0.0.0.0:{port}: ")
        assert subprocess.run(check, capture_output=True).returncode == 0
    finally:
        end_pool(pool)


@pytest.mark.parametrize("user", ["1000:1000", "4711:4711"])
def test_the_trainer_runs_as_its_command_is_printed(
    images: dict[str, Image], tmp_path: Path, user: str
) -> None:
    if "train" not in images:
        pytest.skip(str(cpu_torch()))
    image = replace(images["train"], folder="/data")
    make_dataset(tmp_path / "tiny")
    subprocess.run(["chown", "-R", user, tmp_path], check=True)
    assert "fit" in image.run(*image.entrypoint, *image.arguments, user=user)
    flags = tiny_flags(Path("/data/tiny"), Path("/data/runs/tiny"), num_epochs=2)
    image.run(*image.entrypoint, "fit", *flags, shown={"/data": str(tmp_path)}, user=user)
    assert (tmp_path / "runs/tiny/checkpoints").is_dir()


def test_a_pods_command_runs_in_the_image(images: dict[str, Image], tmp_path: Path) -> None:
    if "train" not in images:
        pytest.skip(str(cpu_torch()))
    make_dataset(tmp_path / "tiny")
    subprocess.run(["chown", "-R", "1000:1000", tmp_path], check=True)
    job = Kubernetes(image="openwit-train:1", gpus_per_node=0, processes_per_node=2, cpus_per_process=1)
    objects = job.objects(tiny_flags(Path("/data/tiny"), Path("/data/runs/tiny"), num_epochs=2))
    (container,) = objects[1]["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    image = replace(images["train"], env={**images["train"].env, **env})
    image.run(*container["command"], shown={"/data": str(tmp_path)})
    assert (tmp_path / "runs/tiny/checkpoints/latest").is_file()
