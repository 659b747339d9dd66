"""The Dockerfile's stages without Docker: the steps of each, run in a root of Debian.

Debian's own Python 3.11 stands for the published images of Python; of Beam's, which only a registry has,
nothing is taken.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.roots import Image, copied, debian, debian_with_compiler, pip_settings

ROOT = Path(__file__).parents[1]
Step = tuple[str, str]
Values = Mapping[str, str]


def steps_of(dockerfile: str) -> list[Step]:
    """Return instructions and their texts, without comments, on one line each.

    >>> steps_of("FROM a\\n# why\\nRUN b \\\\\\n# and\\n  c\\n")
    [('FROM', 'a'), ('RUN', 'b   c')]
    """
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    parts = (line.partition(" ") for line in "\n".join(lines).replace("\\\n", "").splitlines())
    return [(name, text.strip()) for name, _, text in parts]


def stages_of(steps: Sequence[Step]) -> tuple[dict[str, str], dict[str, tuple[str, list[Step]]]]:
    """Return the arguments before all stages, and each stage's parent and steps by its name."""
    arguments: dict[str, str] = {}
    stages: dict[str, tuple[str, list[Step]]] = {}
    name = ""
    for instruction, text in steps:
        if instruction == "FROM":
            parent, _, name = expanded(text, arguments).partition(" AS ")
            stages[name] = (parent, [])
        elif name:
            stages[name][1].append((instruction, text))
        else:
            arguments |= pairs(text, {})
    return arguments, stages


def expanded(text: str, known: Values) -> str:
    """Return a text with its variables' values, by the shell's own rules."""
    command = ["sh", "-c", f'printf %s "{text}"']
    return subprocess.run(command, env=dict(known), capture_output=True, text=True, check=True).stdout


def pairs(text: str, known: Values) -> dict[str, str]:
    """Return NAME=VALUE ... as a dictionary; a name alone has its known value.

    >>> pairs('A=1 B="$A b" C', {"A": "0", "C": "2"})
    {'A': '1', 'B': '0 b', 'C': '2'}
    """
    words = (word.partition("=") for word in shlex.split(text))
    return {name: expanded(value, known) if equals else known[name] for name, equals, value in words}


def built(folder: Path, targets: Sequence[str]) -> dict[str, Image]:
    """Make these stages, and those that they need, in a folder; return their images."""
    arguments, stages = stages_of(steps_of((ROOT / "Dockerfile").read_text("utf-8")))
    slim = debian(folder / "debian")
    images = {"slim": slim, "full": debian_with_compiler(folder / "debian-with-compiler", slim)}
    for name, (parent, steps) in stages.items():
        if name not in needed(stages, targets) or parent.startswith("apache/beam"):
            continue
        image = images[parent if parent in images else "slim" if "-slim-" in parent else "full"]
        if {instruction for instruction, _ in steps} & {"COPY", "RUN", "WORKDIR"}:
            image = replace(image, root=copied(image.root, folder / name))
        images[name] = run_stage(image, steps, arguments, images)
    return {name: images[name] for name in targets}


def needed(stages: Mapping[str, tuple[str, list[Step]]], targets: Sequence[str]) -> set[str]:
    """Return the names of the stages that these are made from, themselves included."""
    found = {name for name in targets if name in stages}
    for name in tuple(found):
        parent, steps = stages[name]
        texts = " ".join(text for _, text in steps)
        found |= needed(stages, [parent, *(other for other in stages if f"from={other}" in texts)])
    return found


def run_stage(image: Image, steps: Sequence[Step], outer: Values, images: Mapping[str, Image]) -> Image:
    """Run one stage's steps, and return its image."""
    arguments: dict[str, str] = {}
    for instruction, text in steps:
        known = {**arguments, **image.env}
        match instruction:
            case "ARG":
                arguments |= pairs(text, outer)
            case "ENV":
                image = replace(image, env={**image.env, **pairs(text, known)})
            case "LABEL":
                image = replace(image, labels={**image.labels, **pairs(text, known)})
            case "WORKDIR":
                (image.root / text.lstrip("/")).mkdir(parents=True, exist_ok=True)
                image = replace(image, folder=text)
            case "USER":
                image = replace(image, user=text)
            case "ENTRYPOINT":
                image = replace(image, entrypoint=words_of(text), arguments=())
            case "CMD":
                image = replace(image, arguments=words_of(text))
            case "HEALTHCHECK":
                image = replace(image, health=words_of(text.partition("CMD ")[2]))
            case "COPY":
                copy(image, text)
            case "EXPOSE":
                pass  # says something to people alone
            case "RUN":
                run(image, text, arguments, images)
            case _:
                raise AssertionError(f"the Dockerfile has a new kind of step: {instruction} {text}")
    return image


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a command in JSON."""
    words: list[str] = json.loads(text)
    return tuple(words)


def run(image: Image, text: str, arguments: Values, images: Mapping[str, Image]) -> None:
    """Run a step by the shell, with this machine's settings of pip and the mounts that it asks for."""
    env, shown = pip_settings()
    while text.startswith("--mount="):
        flag, _, text = text.partition(" ")
        mount = dict(part.split("=") for part in flag.removeprefix("--mount=").split(","))
        shown[mount["target"]] = f"{images[mount['from']].root}{mount['source']}"
        text = text.lstrip()
    inside = replace(image, env={**env, **arguments, **image.env})
    inside.run("/bin/sh", "-c", text, shown=shown)


def copy(image: Image, text: str) -> None:
    """Copy from this checkout what would be sent to Docker. Of Beam's image there is nothing to copy."""
    if text.startswith("--from=beam "):
        return
    *sources, to = text.split()
    target = image.root / image.folder.lstrip("/") / to
    sent = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    ignored = [line.removeprefix("**/") for line in sent if line.startswith("**/")]
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns(*ignored))
        else:
            shutil.copy(ROOT / source, target)
