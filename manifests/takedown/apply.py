"""A staged takedown into its dataset: every step can be done again, so that a cut one is completed.

The staged manifest says that all is there. New files are put beside the old ones, then the tables that keep
their names, then the manifest: the dataset is the new one. What it no longer names is removed last.
"""

import json
from pathlib import Path

from manifests.card import NAME as CARD_NAME
from manifests.card import is_card
from manifests.do_not_fetch import STAGING, add_to_list
from manifests.locks import LOCK, OWNER
from manifests.report import write_report
from manifests.storage import entries, link_or_copy, location, remove_folder
from manifests.store import MANIFEST_NAME, clear_cut_short

APPLY_NAME = "apply.json"
# Made from a dataset and kept in its folder: they show what it held.
DERIVED = ("report.html", "croissant.json", "status.parquet")


def staging(root: Path) -> Path:
    """Return where a takedown is prepared."""
    return root / STAGING


def complete(root: Path) -> str | None:
    """Apply the takedown that is staged in a dataset, if there is one whole; return where its receipt lies.

    Whoever changes a dataset calls this first, and holds it (`locks`).
    """
    staged = staging(root)
    if not (staged / MANIFEST_NAME).exists():
        return None
    order = json.loads((staged / APPLY_NAME).read_bytes())
    clear_cut_short(root)
    for name in (*DERIVED, *([CARD_NAME] if is_card(root / CARD_NAME) else [])):
        (root / name).unlink(missing_ok=True)
    for name in (*order["put"], MANIFEST_NAME):
        link_or_copy(staged / name, root / name)
    for name in order["remove"]:
        (root / name).unlink(missing_ok=True)
    if order["do_not_fetch"]:
        add_to_list(location(order["do_not_fetch"]), set(order["lines"]))
    for work in filter(None, (root / "work", order["work"] and location(order["work"]))):
        _clear(work, staged.name)
    write_report(root)
    (staged / MANIFEST_NAME).unlink()
    remove_folder(staged)
    return str(order["receipt"])


def _clear(work: Path, but: str) -> None:
    """Remove what a build has left: candidates, pictures, answers of search engines."""
    for path in entries(work, "*"):
        if path.name in (LOCK, OWNER, but):
            continue
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
