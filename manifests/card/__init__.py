"""The data card of a dataset, in Markdown: what is in it, where from, what was dropped, what is not known.

Every figure is the manifest's or counted in the index; what nobody has recorded is said to be so. The front
matter is what Hugging Face `datasets` reads: with it `load_dataset("runs/mine")` gives pictures and captions.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from manifests.card.figures import Figures, count_pairs
from manifests.card.limits import known_limits
from manifests.croissant import Publication, picture_ending
from manifests.markdown import number, share, table, text
from manifests.schema import Manifest
from manifests.show import sizes, tars
from manifests.storage import read_bytes
from manifests.store import Dataset

NAME = "README.md"
MARK = "<!-- Written by python -m manifests card; a takedown removes it. -->"
NOT_RECORDED = "not recorded"
MOST_ROWS = 15

END = "\n"
# Reasons by what they are about; the others are in the funnel alone.
ABOUT = {
    "Safety": ("caption_unsafe", "caption_toxic", "caption_personal_data", "url_blocked", "image_score"),
    "Copies": ("duplicate_pair", "duplicate_url", "exact_duplicate", "near_duplicate", "caption_common"),
    "Evaluation sets kept out": ("in_evaluation_set", "caption_in_evaluation_set"),
    "Opt-outs": ("robots_disallowed", "opted_out", "picture_blocked", "taken_down"),
}


def card(dataset: Dataset, said: Publication) -> str:
    """Return the card of a dataset. Of a large one it reads a sample of the index."""
    manifest, figures = dataset.manifest, count_pairs(dataset)
    parts = (
        front_matter(dataset),
        _head(manifest, said),
        _origins(manifest, figures),
        _making(manifest),
        _contents(figures),
        *_dropped(manifest, figures),
        _limits(manifest),
        _reading(dataset),
    )
    return "\n".join(parts)


def is_card(path: Path) -> bool:
    """Return whether a file is a data card, and not one that somebody wrote by hand."""
    return path.exists() and MARK.encode() in read_bytes(path)


def front_matter(dataset: Dataset) -> str:
    """Return the YAML by which Hugging Face datasets finds the shards and the types of their members.

    The facts (.json) are left to the index: out of JSON it takes no unsigned numbers of 64 bits, and it could
    not tell the types of lists and nulls from a few samples.
    """
    ending = picture_ending(dataset).removeprefix(".")
    features = {"__key__": "string", "__url__": "string", ending: "image", "txt": "string"}
    lines = [f"  - name: {name}\n    dtype: {kind}\n" for name, kind in features.items()]
    configs = "configs:\n- config_name: pictures\n  default: true\n  data_files: shards/*.tar\n"
    return f"---\n{configs}dataset_info:\n- config_name: pictures\n  features:\n{''.join(lines)}---\n"


def _head(manifest: Manifest, said: Publication) -> str:
    dates = manifest.dates
    fetched = f"{dates.fetched_from} to {dates.fetched_to}" if dates and dates.fetched_from else NOT_RECORDED
    rows = [
        ("pairs", number(manifest.num_pairs)),
        ("shards", number(len(manifest.shards))),
        ("bytes", number(sum(sizes(manifest).values()))),
        ("search terms", number(manifest.num_queries)),
        ("build begun", (dates and dates.begun) or NOT_RECORDED),
        ("pictures fetched", fetched),
        ("manifest written", manifest.created_at),
        ("made by", text(manifest.code_version)),
        ("content", f"`{manifest.content_hash}`"),
        ("publisher", text(said.creator) or NOT_RECORDED),
        ("licence of the collection", text(said.licence) or NOT_RECORDED),
        ("home", text(said.url) or NOT_RECORDED),
        ("cite as", text(said.cite_as) or NOT_RECORDED),
    ]
    what = "Pairs of a picture and a text, found on the web with a list of search terms, made by openwit."
    return f"# {text(manifest.name)}\n\n{MARK}\n\n{what}\n\n{table(['', ''], rows)}"


def _origins(manifest: Manifest, figures: Figures) -> str:
    rows = [
        (text(each.name), number(each.num_candidates), text(", ".join(each.read[:3])), text(each.licence))
        for each in manifest.sources
    ]
    read = table(["source", "candidates", "read (the first three)", "licences"], rows)
    return "\n".join(
        [
            "## Where it comes from\n",
            read or f"What was read: {NOT_RECORDED}.\n",
            f"{_basis(figures)}\n",
            counted("source of kept pairs", figures.counts.get("source"), NOT_RECORDED),
            counted("host of the picture", figures.hosts, "none: a file of the builder's"),
        ]
    )


def _making(manifest: Manifest) -> str:
    funnel = [
        (text(stage.stage), number(stage.num_in), number(stage.num_out), _reasons(stage.dropped))
        for stage in manifest.funnel
    ]
    history = [
        (change.at or NOT_RECORDED, text(change.kind), number(change.num_tried), number(change.num_gained))
        for change in manifest.history
    ]
    changes = table(["changed at", "by", "pairs tried", "pairs kept or gained"], history)
    return "\n".join(
        [
            "## How it was made\n",
            "Each stage takes what the one before it leaves. manifest.json holds every setting.\n",
            table(["stage", "in", "out", "dropped, by reason"], funnel) or f"The funnel is {NOT_RECORDED}.\n",
            changes or "Nothing was changed after it was built.\n",
        ]
    )


def _contents(figures: Figures) -> str:
    medians = [(name.replace("_", " "), number(value)) for name, value in figures.medians.items()]
    return "\n".join(
        [
            "## What is in it\n",
            f"{_basis(figures)}\n",
            counted("language of the caption", figures.counts.get("language"), NOT_RECORDED),
            counted("where the caption stood", figures.counts.get("caption_origin"), NOT_RECORDED),
            table(["of pictures", "median"], medians),
            f"These pairs stand for {number(figures.num_copies)} dropped copies of their pictures besides.\n",
            "## Licences\n",
            "As the sources gave them, unchecked. The rights to pictures and texts are their authors'.\n",
            counted("licence", figures.counts.get("licence"), NOT_RECORDED),
        ]
    )


def _dropped(manifest: Manifest, figures: Figures) -> Iterator[str]:
    for title, reasons in ABOUT.items():
        found = {
            (stage.stage, reason): (count, stage.num_in)
            for stage in manifest.funnel
            for reason, count in stage.dropped.items()
            if reason in reasons
        }
        rows = [
            (text(stage), text(reason), number(count), share(count, num_in))
            for (stage, reason), (count, num_in) in found.items()
        ]
        counts = table(["stage", "reason", "dropped", "of what came in"], rows)
        yield f"## {title}\n\n{counts or f'Dropped for this: none, or {NOT_RECORDED}.{END}'}"
    yield counted("robots.txt, of kept pairs", figures.counts.get("robots"), NOT_RECORDED)
    yield counted("opt-outs seen, of kept pairs", figures.counts.get("opt_out"), "none seen")


def _limits(manifest: Manifest) -> str:
    return "## Known limits\n\n" + "".join(f"- {limit}\n" for limit in known_limits(manifest))


def _reading(dataset: Dataset) -> str:
    pattern = tars(Path(), dataset.manifest).removeprefix("./")
    return (
        "## Reading it\n\n"
        f"    open_clip: --train-data '{pattern}'\n"
        '    Hugging Face: datasets.load_dataset(".")\n'
        "    DuckDB: select caption, url from 'index/*.parquet'\n"
    )


def counted(title: str, counts: Counter[str | None] | None, of_none: str) -> str:
    """Return the most frequent values of a column as a table with their shares."""
    if counts is None:
        return f"{title}: {NOT_RECORDED}.\n"
    shown = [(text(value) if value else of_none, count) for value, count in counts.most_common(MOST_ROWS)]
    rows = [(name, number(count), share(count, counts.total())) for name, count in shown]
    if left := len(counts) - len(shown):
        rest = counts.total() - sum(count for _, count in shown)
        rows.append((f"{number(left)} more", number(rest), share(rest, counts.total())))
    return table([title, "pairs", "share"], rows)


def _basis(figures: Figures) -> str:
    return figures.sample.basis or f"Counted in all {number(figures.sample.num_pairs)} pairs."


def _reasons(dropped: dict[str, int]) -> str:
    return ", ".join(f"{text(reason)} {number(count)}" for reason, count in dropped.items()) or "nothing"
