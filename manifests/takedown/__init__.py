"""Taking pairs out of a finished dataset for good: their shards are written anew, the rest is left alone.

    find -> stage (work/takedown) -> apply: new files, manifest, then what is gone is removed

Killed before the staged manifest is there, the dataset is as it was; after that, whoever changes it next, or
the same command, completes the takedown.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from manifests import storage
from manifests.locks import held
from manifests.storage import check_writable, remove_folder
from manifests.store import DatasetError, open_dataset, write_bytes
from manifests.takedown.apply import complete, staging
from manifests.takedown.find import Found, find
from manifests.takedown.receipt import Signed
from manifests.takedown.request import Request
from manifests.takedown.stage import stage

NOTE = "request.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a takedown found, and where the receipts of what was done lie."""

    found: Found
    receipts: list[str]  # two where an earlier takedown was completed


def take_down(
    root: Path,
    request: Request,
    signed: Signed,
    do_not_fetch: Path | None = None,
    work: Path | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Take down what is asked for, or go on with that; a dataset without any of it is left as it is.

    `do_not_fetch` is a list of the caller's own that gets the same lines as the dataset's; `work` the folder
    in which the dataset was built, where that is not in it: what is left there is removed. Raises ValueError
    for a request that cannot be met.
    """
    signed.check(request)
    check_writable(root, "dataset")
    open_dataset(root)
    with held(root, work):
        receipts = [receipt] if not dry_run and (receipt := complete(root)) else []
        dataset = open_dataset(root)
        found = find(dataset, request)
        if dry_run or not found:
            if not dry_run:
                remove_folder(staging(root))
            return Outcome(found=found, receipts=receipts)
        _check_no_addition(root, work)
        _begin(staging(root), {"request": request.digest, "content_hash": dataset.manifest.content_hash})
        stage(dataset, request, found, signed, staging(root), do_not_fetch, work)
        receipt = complete(root)
        assert receipt, root
        return Outcome(found=found, receipts=[*receipts, receipt])


def _begin(staged: Path, note: dict[str, str]) -> None:
    """Give the folder to a request; what another has left unfinished there is removed."""
    path = staged / NOTE
    if not path.exists() or json.loads(path.read_bytes()) != note:
        remove_folder(staged)
        write_bytes(path, json.dumps(note).encode())


def _check_no_addition(root: Path, work: Path | None) -> None:
    for folder in filter(None, (root / "work", work)):
        for unfinished in storage.entries(folder, "extend-*"):
            raise DatasetError(
                f"an addition to {root} is unfinished ({unfinished}), and may bring in what is taken down. "
                f"Next: finish it, or give it up with rm -r {unfinished}"
            )
