"""Folders that are made whole or not at all, and say what they were made with."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOTE = "made_with.json"


@contextmanager
def made_whole(root: Path, made_with: dict[str, Any]) -> Iterator[Path | None]:
    """Give a temporary folder that becomes `root` when the block ends well; None where `root` is made.

    Raises ValueError where `root` holds anything that was not made with the same values.
    """
    if found := read_note(root):
        if found == made_with:
            yield None
            return
        raise ValueError(
            f"{root} was made with {found}, not with {made_with}: delete it or choose another folder"
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"{root} holds something else: choose a folder that is empty or not there yet")
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.parent / f".{root.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        yield temporary
        (temporary / NOTE).write_text(json.dumps(made_with) + "\n", encoding="utf-8")
        temporary.replace(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_note(root: Path) -> dict[str, Any] | None:
    """Return what a folder was made with, None where it holds no note."""
    try:
        note: dict[str, Any] = json.loads((root / NOTE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return note
