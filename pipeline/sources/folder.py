"""Local pictures: each with its caption in a .txt beside it, or named by the folder that it lies in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filters.reasons import Drop, Reason
from filters.sampling import priority
from pipeline.limits import Network
from pipeline.records import Candidate, Query, Rejection, reject
from pipeline.sources.names import names_of

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
SCHEME = "folder:"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Pictures on this machine. Their URLs are folder:<number of the path>/<path below it>, so that a
    dataset does not tell where it was built, and only files below these folders can ever be read."""

    paths: tuple[str, ...] = ()
    """Folders of pictures."""
    templates: tuple[str, ...] = ()
    """Captions from the name of the picture's folder: 'a photo of a {}.'; a hash of the path picks one.
    Without any, the caption is the .txt beside the picture."""

    def __post_init__(self) -> None:
        for template in self.templates:
            if template.count("{}") != 1:
                raise ValueError(f"folder.templates: {template!r} must hold {{}} once, for the class name")

    @property
    def max_parallel(self) -> int:
        return 64

    @property
    def licence(self) -> str:
        return "these are pictures of whoever built the dataset"

    def places(self) -> list[str]:
        """Return the folders by their names."""
        return names_of(self.paths)

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return one unit per folder. Raises ValueError for a path that is no folder."""
        for path in self.paths:
            if not Path(path).is_dir():
                raise ValueError(f"folder.paths: {path} is not a folder")
        return [f"{number:05d}" for number in range(len(self.paths))]

    def read(self, unit: str, queries: Sequence[Query], network: Network) -> Iterator[Candidate | Rejection]:
        """Yield a candidate per picture; one without a caption is a Rejection."""
        root, place = Path(self.paths[int(unit)]), self.places()[int(unit)]
        for path in sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES):
            name = path.relative_to(root).as_posix()
            candidate = Candidate(
                url=f"{SCHEME}{int(unit)}/{name}",
                caption=self.caption(path, name),
                source="folder",
                source_file=f"{place}/{name}",
            )
            if candidate.caption:
                yield candidate
            else:
                drop = Drop(Reason.SOURCE_ERROR, f"no {Path(name).with_suffix('.txt')} beside it")
                yield reject("crawl", drop, candidate)

    def caption(self, path: Path, name: str) -> str:
        """Return the caption of a picture, empty where there is none."""
        if self.templates:
            label = path.parent.name.replace("_", " ")
            return self.templates[priority(name) % len(self.templates)].replace("{}", label)
        beside = path.with_suffix(".txt")
        return beside.read_text(errors="replace").strip() if beside.is_file() else ""

    def owns(self, url: str) -> bool:
        """Say whether a URL is one of this source's."""
        return url.startswith(SCHEME)

    def read_bytes(self, url: str) -> bytes | None:
        """Return the picture at a folder: URL, None where there is none below these folders."""
        number, _, name = url.removeprefix(SCHEME).partition("/")
        if not number.isdecimal() or int(number) >= len(self.paths):
            return None
        root = Path(self.paths[int(number)]).resolve()
        try:
            path = (root / name).resolve()
            return path.read_bytes() if path.is_relative_to(root) else None
        except (OSError, ValueError):  # ValueError: a name with a zero byte
            return None
