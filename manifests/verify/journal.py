"""What a verification that may be killed has found to be right: a line for each file or shard.

A line is a hash of what the manifest says of it, of its size and of when it was last changed: it stands for
nothing when any of them is another. What is damaged without that (a disk that loses bits) a journal hides, so
that it is for going on with one verification, and removed with its end.
"""

import hashlib
from pathlib import Path

from manifests.schema import FileRecord


class Journal:
    """The journal in a file, or none, which knows nothing and keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lines = set(path.read_text().split()) if path and path.exists() else set[str]()

    @property
    def is_kept(self) -> bool:
        """Whether there is a file for it."""
        return self._path is not None

    def knows(self, line: str) -> bool:
        """Return whether what a line stands for was found to be right."""
        return line in self._lines

    def note(self, line: str) -> None:
        """Keep a line, whatever happens next."""
        if self._path and line not in self._lines:
            with self._path.open("a") as file:
                file.write(f"{line}\n")

    def remove(self) -> None:
        """Remove the journal: what it was for has ended."""
        if self._path:
            self._path.unlink(missing_ok=True)


def line_for(root: Path, records: list[FileRecord], deep: bool) -> str | None:
    """Return the line of files that are as large as recorded, as they are now; None where one is not."""
    digest = hashlib.sha256(f"{root} {deep}".encode())
    for record in records:
        try:
            stat = (root / record.path).stat()
        except OSError:
            return None
        if stat.st_size != record.num_bytes:
            return None
        digest.update(f"\n{record} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()
