"""Train the toxicity classifier: labelled comments and tweets, ordinary alt texts, one small quantised model.

    python -m filters.training.toxicity --data ../shared/data/text --out filters/data/toxic_en.ftz

A fifth of all texts, chosen by their hash, is held out: never trained on, and what the figures are made of.
Deterministic: the same files give the same bytes. docs/toxicity.md is the model's card.
"""

import csv
import gzip
import html
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import tyro

from filters.safety import UnsafeWords
from filters.sampling import priority
from filters.text import normalise_caption
from filters.toxicity import FINE, TOXIC, model_line
from filters.training.plain import plain_sentences

# Weights even out sets of very different sizes; comments count most, since tweets hold few kinds of insult.
WEIGHTS = {
    "toxic comments": 20,
    "fine comments": 5,
    "hateful tweets": 1,
    "offensive tweets": 1,
    "fine tweets": 1,
    "alt texts": 5,
    "textbook captions": 1,
    "plain sentences": 1,
}
TRAINING = {"dim": 8, "wordNgrams": 2, "minn": 4, "maxn": 6, "epoch": 6, "lr": 0.1, "bucket": 200_000}
NUM_PLAIN = 10_000
NUM_FEATURES = 50_000
_TWEETS = {"0": "hateful tweets", "1": "offensive tweets", "2": "fine tweets"}


class Labelled(NamedTuple):
    """A text with the judgement of people."""

    group: str
    text: str
    is_toxic: bool

    @property
    def is_held_out(self) -> bool:
        """Whether the text is kept from training: a fifth, by hash, whatever file it stands in."""
        return priority(self.text, salt="held out") % 5 == 0


@dataclass(frozen=True, kw_only=True)
class Train:
    """Where the texts lie and where the model goes."""

    data: Path
    """Folder with unsafe/ (labelled comments) and alttext/ (alt texts)."""
    out: Path


def read_labelled(data: Path) -> Iterator[Labelled]:
    """Yield the labelled comments and tweets, and alt texts, which are taken for fine."""
    for row in _rows(data / "unsafe/surge_toxicity_en.csv.gz"):
        is_toxic = row["is_toxic"] == "Toxic"
        group = "toxic comments" if is_toxic else "fine comments"
        yield Labelled(group, normalise_caption(row["text"]), is_toxic)
    for row in _rows(data / "unsafe/davidson_labeled_data.csv.gz"):
        text = normalise_caption(html.unescape(row["tweet"]))
        yield Labelled(_TWEETS[row["class"]], text, row["class"] != "2")
    with (data.parent / "pairs/textbook/pairs.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            for text in filter(None, (row.get("alt"), row.get("caption"))):
                yield Labelled("textbook captions", normalise_caption(text), is_toxic=False)
    for sentence in plain_sentences(NUM_PLAIN):
        yield Labelled("plain sentences", sentence, is_toxic=False)
    with gzip.open(data / "alttext/laion_test_10000.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield Labelled("alt texts", normalise_caption(json.loads(line)["text"]), is_toxic=False)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def training_lines(labelled: Iterator[Labelled]) -> list[str]:
    """Return what fastText reads, shuffled the same way each time, without what is held out."""
    words = UnsafeWords()
    lines = []
    for text in labelled:
        # Nobody has labelled the alt texts: those with a listed word are no examples of fine ones.
        if text.is_held_out or (text.group == "alt texts" and words.measure(text.text)):
            continue
        label = TOXIC if text.is_toxic else FINE
        lines += [f"{label} {model_line(text.text)}\n"] * WEIGHTS[text.group]
    random.Random(0).shuffle(lines)
    return lines


def train(lines: list[str], out: Path) -> None:
    """Write the quantised model of some lines. Raises CalledProcessError where fastText fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines.txt")
        path.write_text("".join(lines), encoding="utf-8")
        # fastText reads memory that it has not set: only a fresh process gives the same model each time.
        for step in ("fit", "quantise"):
            command = [sys.executable, "-m", "filters.training.toxicity_step", step, folder]
            subprocess.run(command, check=True, env={"PYTHONHASHSEED": "0"})
        out.write_bytes(Path(folder, "model.ftz").read_bytes())


def main(request: Train) -> None:
    """Train on the files of a request and write the model."""
    train(training_lines(read_labelled(request.data)), request.out)


if __name__ == "__main__":
    main(tyro.cli(Train, description=__doc__))
