"""A directory in which a new dataset grows out of finished ones: whose it is, and whether it is finished."""

import json
from pathlib import Path
from typing import Any

from manifests.storage import check_writable
from manifests.store import MANIFEST_NAME, read_manifest, write_bytes


def is_finished(out: Path, kind: str, asked: dict[str, Any]) -> bool:
    """Return whether `out` holds this request's dataset; begin it where nothing is. Raises ValueError where
    it holds another's, or cannot be written."""
    check_writable(out, "--out")
    if (out / MANIFEST_NAME).exists():
        history = read_manifest(out).history
        if not history or history[-1].kind != kind or history[-1].request != asked:
            raise ValueError(f"{out} holds another dataset. Next: pass another --out")
        return True
    note = out / "work" / f"{kind}.json"
    if note.exists():
        begun = json.loads(note.read_bytes())
        changed = [name for name in asked if begun.get(name) != asked[name]]
        if changed:
            raise ValueError(
                f"{out} was begun with other {', '.join(changed)}. Next: the same command, or another --out"
            )
    elif out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty. Next: pass another --out")
    else:
        write_bytes(note, json.dumps(asked, indent=1, ensure_ascii=False).encode())
    return False
