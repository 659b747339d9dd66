"""Making an index and bringing it up to date: what is there of a unit is kept, new ones are added, and those
that are no more are dropped. A run that was cut short goes on: each part is whole or not there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from manifests.locks import held
from manifests.storage import location, remove_folder
from train.search.approximate import GROWN, NEEDED_FROM, Approximate, Setting, has_faiss
from train.search.copies import write_copies
from train.search.embed import embedded
from train.search.exact import Found, search_all
from train.search.index_file import NAME, IndexFile, read_index_file
from train.search.model import embed_dim_of, fingerprint, keep_model, kept_fingerprint, model_of
from train.search.parts import MAX_NAMED, Floats, Made, Part, Parts, sampled, whole_parts, write_part
from train.search.unit import Unit
from train.search.units import units_of
from train.trained import TrainedModel

NUM_TUNED_ON = 200


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an index is to be."""

    run: Path | None  # None: the model that the index has
    data: tuple[Path, ...]
    out: Path
    every_s: float = 1.0
    approximate_from: int = NEEDED_FROM  # pictures; 0: never
    batch_size: int = 64


@dataclass(frozen=True, kw_only=True)
class Built:
    """What was done."""

    index: IndexFile
    num_added: int  # pictures
    num_dropped: int
    bad: tuple[str, ...]  # some of the pictures of new parts that could not be read


def build_index(recipe: Recipe) -> Built:
    """Make the index, or bring it up to date with what `data` holds now.

    Raises ValueError where another model made it, or where there is nothing to index.
    """
    with held(recipe.out):
        known = read_index_file(recipe.out)
        model = _model(recipe, known)
        units = [unit for place in recipe.data for unit in units_of(place, recipe.every_s)]
        trained = model_of(recipe.out)
        there = whole_parts(recipe.out)
        parts, new = _parts_of(recipe, units, there, trained, known.next_part if known else 0)
        index = IndexFile(
            model=model,
            step=trained.step,
            embed_dim=embed_dim_of(trained),
            places=tuple(dict.fromkeys(unit.place for unit in units)),
            num_pictures=parts.num_rows,
            num_bad=sum(part.made.num_bad for part in parts.all),
            parts=tuple(part.number for part in parts.all),
            next_part=max((part.number + 1 for part in (*there, *parts.all)), default=0),
        )
        write_copies(recipe.out, [location(place) for place in index.places])
        index = _with_approximate(recipe, index, known, parts, trained)
        index.write(recipe.out)
        _tidy(recipe.out, index)
        gone = [part for part in there if part.number not in parts.by_number]
        return Built(
            index=index,
            num_added=sum(part.made.num_rows for part in new),
            num_dropped=sum(part.made.num_rows for part in gone),
            bad=tuple(place for part in new for place in part.made.bad)[:MAX_NAMED],
        )


def _model(recipe: Recipe, known: IndexFile | None) -> str:
    """Return the fingerprint of the index's model, which is put into it where it has none."""
    if recipe.run is None:
        if known is None:
            raise ValueError(f"{recipe.out} holds no index yet. Next: say with --run whose features it gets")
        return known.model
    model = fingerprint(recipe.run)
    if known is not None and known.model != model:
        raise ValueError(
            f"{recipe.out} was made by another model (step {known.step}) than the one in {recipe.run}: their "
            f"features cannot be compared. Next: leave out --run, or give another --out"
        )
    if known is None and model != kept_fingerprint(recipe.out):
        # Parts of an index that was never whole are another model's, or nobody's.
        remove_folder(recipe.out / "parts")
        keep_model(recipe.run, recipe.out)
    return model


def _parts_of(
    recipe: Recipe, units: Sequence[Unit], there: Sequence[Part], trained: TrainedModel, next_part: int
) -> tuple[Parts, list[Part]]:
    """Return a part for each unit, and which of them are new."""
    by_made = {(part.made.place, part.made.name, part.made.identity): part for part in there}
    number = max([next_part, *(part.number + 1 for part in there)])
    parts, new = [], []
    for unit in tqdm(units, desc="indexed", unit=" parts", disable=None):
        part = by_made.get((unit.place, unit.name, unit.identity))
        if part is None:
            part = _made(recipe.out / "parts" / f"{number:06}", unit, trained, recipe.batch_size)
            new.append(part)
            number += 1
        parts.append(part)
    return Parts(tuple(parts)), new


def _made(folder: Path, unit: Unit, trained: TrainedModel, batch_size: int) -> Part:
    identity = unit.identity  # before it is read: what changes meanwhile is then read anew next time
    found = embedded(trained, unit, batch_size)
    made = Made(
        place=unit.place,
        name=unit.name,
        identity=identity,
        num_rows=len(found.rows),
        num_bad=len(found.bad),
        bad=tuple(found.bad[:MAX_NAMED]),
    )
    return write_part(folder, made, found.features, found.rows, found.frames)


def _with_approximate(
    recipe: Recipe, index: IndexFile, known: IndexFile | None, parts: Parts, trained: TrainedModel
) -> IndexFile:
    """Return the index with an approximate one of its parts, where they are many and faiss is there."""
    wanted = recipe.approximate_from and parts.num_rows >= recipe.approximate_from
    if not wanted or not has_faiss():
        return index
    made = _earlier(recipe.out, known, parts)
    if made is not None and set(made.setting.parts) == set(parts.by_number):
        assert known is not None
        return replace(index, approximate=known.approximate, approximate_file=known.approximate_file)
    made = Approximate.of(parts, index.embed_dim) if made is None else made.changed(parts)
    made = made.tuned(_questions(parts, trained))
    name = f"approximate-{index.next_part:06}.faiss"
    made.write(recipe.out / name)
    return replace(index, approximate=vars(made.setting), approximate_file=name)


def _earlier(index: Path, known: IndexFile | None, parts: Parts) -> Approximate | None:
    """Return the approximate index that is there, None where its cells do not fit so many pictures."""
    if known is None or known.approximate is None or known.approximate_file is None:
        return None
    setting = Setting(**known.approximate | {"parts": tuple(known.approximate["parts"])})
    ratio = parts.num_rows / setting.num_trained_for
    if not 1 / GROWN <= ratio <= GROWN or not (index / known.approximate_file).exists():
        return None
    return Approximate.read(index / known.approximate_file, known.approximate, parts)


def _questions(parts: Parts, trained: TrainedModel) -> list[tuple[Floats, Found]]:
    """Return what the approximate index is tuned on: captions of its pictures, and pictures, both with what
    exact search finds for them."""
    step, pictures = max(1, parts.num_rows // NUM_TUNED_ON), sampled(parts, NUM_TUNED_ON)
    captions = [part.row(row)["caption"] for part in parts.all for row in range(0, part.made.num_rows, step)]
    words = trained.text_features([caption for caption in captions if caption][:NUM_TUNED_ON]).numpy()
    groups = [queries for queries in (words, pictures[:NUM_TUNED_ON]) if len(queries)]
    return [(queries, search_all(parts, queries, 10, show_unsafe=True)) for queries in groups]


def _tidy(folder: Path, index: IndexFile) -> None:
    """Remove what the index no longer names."""
    wanted = {f"{number:06}" for number in index.parts}
    _remove(part for part in (folder / "parts").glob("*") if part.name not in wanted)
    for path in folder.glob("approximate-*.faiss"):
        if path.name != index.approximate_file:
            path.unlink()
    assert (folder / NAME).is_file(), folder


def _remove(folders: Iterable[Path]) -> None:
    for folder in list(folders):
        remove_folder(folder)
