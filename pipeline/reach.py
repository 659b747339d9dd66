"""What workers on other machines must find besides the work folder: files that a configuration names."""

from collections.abc import Iterator
from pathlib import Path

from filters.do_not_fetch import SEPARATOR
from pipeline.config import BuildConfig, RunOptions


def check_reach(config: BuildConfig, options: RunOptions) -> None:
    """Raise ValueError where workers on other machines would look for a file that this one alone has."""
    if not options.cluster.remote or options.shared_disk:
        return
    for flag, path in files_here(config):
        raise ValueError(
            f"{flag}: {path} is on this machine's disk, which the workers of {options.runner} would not see. "
            "Next: name one in a store, where the flag takes that; or put it where all find it under this "
            "path, in their image or on a shared disk, and say --shared-disk"
        )


def files_here(config: BuildConfig) -> Iterator[tuple[str, str]]:
    """Yield the files of this machine that workers read, each with the flag that names it."""
    sources = config.sources
    places = (
        ("table.paths", sources.table.paths),
        ("folder.paths", sources.folder.paths),
        ("common-crawl.paths", sources.common_crawl.paths),
        ("fetch.do-not-fetch", filter(None, config.fetch.do_not_fetch.split(SEPARATOR))),
        ("scores.onnx", (str(Path(scorer.path)) for scorer in config.scores.onnx)),
    )
    for flag, paths in places:
        for path in paths:
            if "://" not in path:
                yield flag, path
