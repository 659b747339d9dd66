"""The webdataset form of every dataset: tars of <key>.jpg (or .png, .webp) with <key>.cls."""

from collections.abc import Iterator
from pathlib import Path

from train.evals.datasets.common import lines
from train.evals.datasets.published import EvaluationSet, Published, Sample
from train.evals.labelled import PICTURE_SUFFIXES, tar_samples
from train.evals.metrics import Metric, pack_label


def tars_of(root: Path, split: str) -> list[Path]:
    """Return the tars of a split: ROOT/<split>/*.tar, or all in ROOT."""
    return sorted((root / split).glob("*.tar")) or sorted(root.glob("*.tar"))


def open_tars(
    name: str,
    published: Published,
    root: Path,
    split: str,
    *,
    prompts: Path | None,
    class_names: list[str] | None,
) -> EvaluationSet:
    """Return the tars of a split. Their own classnames.txt and zeroshot_classification_templates.txt, which
    the webdatasets of the common benchmark have, come before our names, and after those given.
    """
    own_names = root / "classnames.txt"
    given = class_names or (lines(own_names) if own_names.exists() and prompts is None else None)
    if given is None and prompts is None and not published.has_names(root):
        raise ValueError(
            f"the tars of {name} at {root} have numbers for classes. Next: put classnames.txt beside them, "
            f"or pass --prompts FILE, a copy of data/prompts.md of CLIP's repository"
        )
    names, templates = published.words(name, root, prompts, given)
    own_templates = root / "zeroshot_classification_templates.txt"
    if own_templates.exists() and prompts is None:
        templates = tuple(line.replace("{c}", "{}") for line in lines(own_templates))
    return EvaluationSet(
        name=name,
        root=root,
        split=split,
        fold=1,
        synonyms=names,
        templates=templates,
        metric=published.metric,
        open=lambda: _read(tars_of(root, split), len(names), multi=published.metric is Metric.MAP_11),
    )


def _read(tars: list[Path], num_classes: int, *, multi: bool) -> Iterator[Sample]:
    """Yield the samples of tars; the .cls of a multi-label dataset has the numbers of all classes shown."""
    for tar in tars:
        for key, parts in tar_samples(tar):
            pictures = [parts[suffix] for suffix in PICTURE_SUFFIXES if suffix in parts]
            words = parts.get(".cls", b"").decode().replace(",", " ").split()
            known = all(word.isdecimal() and int(word) < num_classes for word in words)
            if len(pictures) != 1 or not known or (len(words) != 1 and not multi):
                raise ValueError(
                    f"{tar}: sample {key} has {len(pictures)} pictures and the class {' '.join(words)!r}. "
                    f"Next: one picture each, and .cls with a number below {num_classes}"
                )
            numbers = [int(word) for word in words]
            yield f"{tar}{key}", pictures[0], pack_label(numbers, [], num_classes) if multi else numbers[0]
