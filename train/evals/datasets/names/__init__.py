"""Names of classes that a dataset's own files do not carry: NAME.txt, one a line, the first for label 0."""

from pathlib import Path


def read_names(name: str) -> tuple[str, ...]:
    """Return the names of a dataset's classes."""
    text = Path(__file__).with_name(f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())
