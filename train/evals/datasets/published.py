"""What is known of a published dataset, and one split of it, opened."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from train.evals.datasets.prompts import read_prompts
from train.evals.identity import identity_of_files
from train.evals.metrics import Metric

Sample = tuple[str, bytes, int]  # where a picture lies, its encoded bytes, the number of its class
Synonyms = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """One split of a dataset: labelled pictures, and what to call their classes."""

    name: str
    root: Path
    split: str
    fold: int
    synonyms: Synonyms  # of each class, the first is its name
    templates: tuple[str, ...]
    metric: Metric
    open: Callable[[], Iterator[Sample]]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The first name of each class."""
        return tuple(names[0] for names in self.synonyms)

    def __iter__(self) -> Iterator[Sample]:
        """Yield where a picture lies, its encoded bytes and its label, in the same order every time.

        A label of a multi-label dataset is `train.evals.metrics.pack_label`'s number.
        """
        return self.open()

    def identity(self) -> str:
        """Return a text that changes whenever a file of the dataset does; nothing is read."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return f"{self.name} {self.split} {self.fold} {self.root} {identity_of_files(self.root, files)}"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A dataset as its authors publish it and as CLIP measures it."""

    section: str  # its heading in CLIP's data/prompts.md
    num_classes: int
    tree: tuple[str, ...]  # what its folder holds, for people: one of these; {a,b} is both, * any
    marks: tuple[str, ...]  # files of which one is always there
    classes: Callable[[Path], Sequence[str | tuple[str, ...]]]
    read: Callable[[Path, str, int], Iterator[Sample]]  # root, split, fold
    templates: tuple[str, ...]
    metric: Metric = Metric.ACCURACY
    splits: tuple[str, ...] = ("train", "test")
    num_training_folds: int = 1
    num_test_folds: int = 1
    named_by_us: bool = False  # its files carry no names of its classes
    note: str = ""  # where the split is not the authors'

    def check_split(self, name: str, split: str, fold: int) -> None:
        """Raise ValueError for a split or a fold that the dataset does not have."""
        if split not in self.splits:
            raise ValueError(f"{name} has no split {split!r}, known: {', '.join(self.splits)}")
        if not 1 <= fold <= self.num_folds(split):
            raise ValueError(
                f"{name} has {self.num_folds(split)} folds of its {split} split, not fold {fold}"
            )

    def num_folds(self, split: str) -> int:
        """Return how many official folds a split has."""
        return self.num_test_folds if split == "test" else self.num_training_folds

    def has_names(self, root: Path) -> bool:
        """Whether the classes have names without any given: of our own, or in the dataset's files."""
        return self.named_by_us or any(any(root.glob(mark)) for mark in self.marks)

    def words(
        self, name: str, root: Path, prompts: Path | None, class_names: list[str] | None
    ) -> tuple[Synonyms, tuple[str, ...]]:
        """Return the names of each class and the templates: those given, the paper's, or our own."""
        given: Sequence[str | tuple[str, ...]] | None = class_names
        templates = self.templates
        if prompts is not None:
            paper = read_prompts(prompts, self.section)
            given, templates = given or paper.classes, paper.templates
        names = given or self.classes(root)
        if len(names) != self.num_classes and given:
            raise ValueError(f"{len(names)} class names for the {self.num_classes} classes of {name}")
        return tuple((item,) if isinstance(item, str) else tuple(item) for item in names), templates


def check_tree(name: str, published: Published, root: Path) -> None:
    """Raise ValueError, with the files that are expected, where none of the dataset's layouts is there."""
    if not any(any(root.glob(mark)) for mark in published.marks):
        wanted = " or ".join(published.tree)
        raise ValueError(
            f"{name} is not at {root}, and nothing is downloaded. Next: unpack its authors' files so that "
            f"{root} holds {wanted}; or webdataset tars, {root}/*.tar with .jpg and .cls"
        )
