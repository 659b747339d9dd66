"""Scores of fetched pictures by models: a column for all, and a drop where a limit is set and broken."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import apache_beam as beam

from filters.image_scores import check_scorer, measure, open_picture
from filters.onnx_models import PICTURES_PER_BATCH
from filters.reasons import Drop, Reason
from manifests.scores import STAGE, number_or_none
from manifests.storage import Anywhere, here
from pipeline.config import Scores
from pipeline.parts import Part, write_part
from pipeline.records import IMAGE_SCHEMA, reject, to_table
from pipeline.staged import read_staged

Row = dict[str, Any]


def check_scores(config: Scores) -> None:
    """Raise ValueError where a configured scorer cannot be used."""
    for scorer in config.onnx:
        check_scorer(scorer)


class ScorePictures(beam.PTransform):
    """Units of fetched pictures -> parts in `out` with their scores, without those that break a limit."""

    def __init__(self, parts: list[Part], config: Scores, out: Path) -> None:
        super().__init__()
        self.parts, self.config, self.out = parts, config, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        score = beam.Map(score_unit, config=self.config, out=self.out)
        return begin | "each unit" >> beam.Create(self.parts) | "score" >> score


def score_unit(part: Part, config: Scores, out: Anywhere) -> str:
    """Write a unit's pictures with their scores, and the rejections; skip a unit that is there."""
    if Part(out, part.name).path.exists():
        return part.name
    rows = part.rows().to_pylist()
    limits, kept, rejections = config.limits(), [], []
    tar = part.folder / f"{rows[0]['unit'] if rows else part.name}.tar"
    with here(tar) as path, path.open("rb") as staged:
        for row, scores in zip(rows, _scores_of(rows, staged, config), strict=True):
            if broken := limits.broken(scores):
                # No thumbnail: what a score is there to find may be what nobody should be shown.
                rejections.append(reject(STAGE, Drop(Reason.IMAGE_SCORE, broken), row))
            else:
                kept.append(row | {"scores": list(scores.items())})
    write_part(out, part.name, to_table(kept, IMAGE_SCHEMA), rejections)
    return part.name


def _scores_of(rows: list[Row], staged: IO[bytes], config: Scores) -> Iterator[dict[str, float | None]]:
    """Yield the scores of each row's picture, None for what could not be measured; one batch is in memory."""
    for start in range(0, len(rows), PICTURES_PER_BATCH):
        opened = [open_picture(read_staged(row, staged)) for row in rows[start : start + PICTURES_PER_BATCH]]
        pictures = [picture for picture in opened if picture]
        columns = {scorer.name: iter(measure(scorer, pictures)) for scorer in config.onnx}
        for picture in opened:
            yield {
                name: number_or_none(next(scores)) if picture else None for name, scores in columns.items()
            }
