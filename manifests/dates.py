"""The times of a dataset: of its manifest, its build and its pictures; and a manifest without them.

All that differs between two builds of the same inputs is here, in the fetch times, and in the report.
"""

import datetime
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc

from manifests.fetch_times import FOLDER, read_fetch_times
from manifests.schema import Dates, Manifest, Shard


def now() -> str:
    """Return the time as it stands in manifests: ISO 8601, UTC, to the second."""
    return _shown(datetime.datetime.now(datetime.UTC))


def dates_of(root: Path, begun: str | None, shards: Iterable[Shard]) -> Dates:
    """Return the dates of a dataset that is finished now; its fetch times are read, a shard at a time."""
    spans = [span for shard in shards for span in _span(root, shard)]
    first, last = min(spans, default=None), max(spans, default=None)
    return Dates(
        begun=begun,
        fetched_from=_shown(first) if first else None,
        fetched_to=_shown(last) if last else None,
        finished=now(),
    )


def joined(dates: Iterable[Dates | None]) -> Dates | None:
    """Return the dates of what was made of several datasets, or by an addition to one: from the first to the
    last; None where none has any."""
    known = [each for each in dates if each]
    if not known:
        return None
    return Dates(
        begun=min((each.begun for each in known if each.begun), default=None),
        fetched_from=min((each.fetched_from for each in known if each.fetched_from), default=None),
        fetched_to=max((each.fetched_to for each in known if each.fetched_to), default=None),
        finished=max(each.finished for each in known),
    )


def timeless(manifest: Manifest) -> Manifest:
    """Return a manifest without what differs between two builds of the same inputs."""
    return replace(
        manifest,
        created_at="",
        dates=None,
        files=tuple(file for file in manifest.files if not file.path.startswith(f"{FOLDER}/")),
        history=tuple(replace(change, at=None) for change in manifest.history),
    )


def _span(root: Path, shard: Shard) -> list[datetime.datetime]:
    """Return when the first and the last picture of a shard was fetched; nothing where none was."""
    times = read_fetch_times(root, shard)
    found = pc.min_max(times["fetched_at"]).as_py() if times is not None else {}
    return [time for time in found.values() if time]


def _shown(time: datetime.datetime) -> str:
    return time.isoformat(timespec="seconds")
