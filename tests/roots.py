"""Root file systems of Debian on this machine, and programs that run in them as in a container."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NEEDED = ("debootstrap", "unshare", "chroot")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOMES = {"0": "/root", "1000": "/home/openwit"}
# Of this machine, as a container has them.
OF_ALL = {path: path for path in ("/dev", "/etc/hosts", "/etc/resolv.conf")}
BUILD_TOOLS = ("gcc", "g++", "libc6-dev", "python3-dev")


@dataclass(frozen=True, kw_only=True)
class Image:
    """A root file system, and what a container of it would be told."""

    root: Path
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH})
    folder: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def inside(self, *, shown: Mapping[str, str] | None = None, user: str | None = None) -> tuple[str, ...]:
        """Return what to put before a command that runs in here. `shown` are paths in here, of files and
        folders of this machine; they are gone when the command ends."""
        user = user or self.user
        mounts = [f"mount -t proc proc {shlex.quote(str(self.root / 'proc'))}"]
        for inside, outside in (OF_ALL | dict(shown or {})).items():
            place = self.root / inside.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.mkdir() if Path(outside).is_dir() else place.touch()
            mounts.append(shlex.join(["mount", "--rbind", outside, str(place)]))
        env = {"HOME": HOMES.get(user.partition(":")[0], "/")} | dict(self.env)
        start = ["chroot", f"--userspec={user}", "--groups=", str(self.root), "/usr/bin/env", "-i"]
        start += [f"{name}={value}" for name, value in env.items()]
        start += ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.folder]
        script = " && ".join([*mounts, f'exec {shlex.join(start)} "$@"'])
        return ("unshare", "--mount", "sh", "-c", script, "sh")

    def run(self, *words: str, shown: Mapping[str, str] | None = None, user: str | None = None) -> str:
        """Return what a program in here printed. Raises AssertionError with all it said where it fails."""
        command = [*self.inside(shown=shown, user=user), *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def num_mb(self) -> int:
        """Return the megabytes that the root takes on disk."""
        said = subprocess.run(["du", "-sxm", self.root], capture_output=True, text=True, check=True).stdout
        return int(said.split()[0])


def why_not() -> str | None:
    """Return why there can be no such root here."""
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        return f"needs {', '.join(missing)} (apt-get install debootstrap)"
    if os.geteuid() != 0:
        return "needs root, to change the root of the file system"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return f"no mount namespaces here: {tried.stderr.strip()}" if tried.returncode else None


def debian(root: Path) -> Image:
    """Make Debian 12 with its Python 3.11 in /usr/local, as the published slim image of Python has it."""
    wanted = ["--variant=minbase", "--include=python3-venv,ca-certificates", "bookworm"]
    made = subprocess.run(["debootstrap", *wanted, str(root)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout[-2000:]
    image = Image(root=root)
    image.run("python3", "-m", "venv", "/usr/local")
    return image


def debian_with_compiler(root: Path, slim: Image) -> Image:
    """Make a copy with what the full image of Python has: a compiler."""
    image = Image(root=copied(slim.root, root))
    image.run("apt-get", "install", "--yes", "--no-install-recommends", *BUILD_TOOLS)
    return image


def copied(root: Path, to: Path) -> Path:
    """Copy a root, owners and modes too."""
    subprocess.run(["cp", "--archive", "--reflink=auto", root, to], check=True)
    return to


def pip_settings() -> tuple[dict[str, str], dict[str, str]]:
    """Return where this machine's pip finds packages: as variables, and the paths that these speak of."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = (line.partition("=") for line in lines)
    settings = {name.rpartition(".")[2]: value.strip("'\"") for name, _, value in found}
    env = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}
    words = (word.removeprefix("file://") for value in settings.values() for word in value.split())
    # The folder above an index: it may link to files beside itself.
    folders = {
        str(Path(word).parent if word.endswith("/simple") else word) for word in words if word[0] == "/"
    }
    return env, {folder: folder for folder in folders if Path(folder).exists()}
