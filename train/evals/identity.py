"""By what it is known whether files have changed since they were passed over."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def identity_of_files(root: Path, paths: Iterable[Path]) -> str:
    """Return a hash of files' names, sizes and times of change, in this order; none of them is read.

    A copy that has other times counts as other files: that costs a pass, a wrong guess would cost a result.
    """
    digest = hashlib.sha256()
    for path in paths:
        known = path.stat()
        digest.update(f"{path.relative_to(root).as_posix()}\0{known.st_size}\0{known.st_mtime}\n".encode())
    return digest.hexdigest()
