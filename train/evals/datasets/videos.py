"""Datasets of videos, of which CLIP sees the middle frame."""

import csv
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from train.evals.datasets.common import encoded, lines
from train.evals.datasets.published import Sample

UCF_LISTS = "ucfTrainTestlist"


def ucf101_classes(root: Path) -> list[str]:
    """Return the actions as words: ApplyEyeMakeup is Apply Eye Makeup."""
    return [re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) for name in _ucf_names(root)]


def read_ucf101(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the middle frames of one of three splits."""
    labels = {name: label for label, name in enumerate(_ucf_names(root))}
    for line in lines(root / UCF_LISTS / f"{split}list{fold:02d}.txt"):
        video = line.split()[0]
        path = root / "UCF-101" / video
        yield str(path), middle_frame(path), labels[video.partition("/")[0]]


def kinetics_classes(root: Path) -> list[str]:
    """Return the actions, from the table of the validation clips."""
    return sorted({row["label"] for row in _clips(root, "test")})


def read_kinetics(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the middle frames of the clips that could still be downloaded; the table names more."""
    labels = {name: label for label, name in enumerate(kinetics_classes(root))}
    for row in _clips(root, split):
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
        path = root / _part(split) / f"{row['youtube_id']}_{start:06d}_{end:06d}.mp4"
        if path.exists():
            yield str(path), middle_frame(path), labels[row["label"]]


def middle_frame(path: Path) -> bytes:
    """Return the frame in the middle of a video as a PNG: of N frames the one of number N // 2, from 0.

    Frames are counted by decoding, since what a file says of its length is often wrong. Nothing is returned
    for a file that is no video: its bytes are empty, which the evaluation counts as a bad picture. Raises
    ValueError without PyAV.
    """
    try:
        av = importlib.import_module("av")
    except ModuleNotFoundError as error:
        raise ValueError("videos need PyAV, which is missing. Next: pip install av") from error
    try:
        with path.open("rb") as file, av.open(file) as video:
            middle = sum(1 for _ in video.decode(video=0)) // 2
        with path.open("rb") as file, av.open(file) as video:
            frame = next(frame for number, frame in enumerate(video.decode(video=0)) if number == middle)
            return encoded(np.asarray(frame.to_ndarray(format="rgb24")))
    except (av.FFmpegError, StopIteration):
        return b""


def _ucf_names(root: Path) -> list[str]:
    rows = [line.split() for line in lines(root / UCF_LISTS / "classInd.txt")]
    return [name for _, name in sorted(rows, key=lambda row: int(row[0]))]


def _clips(root: Path, split: str) -> list[dict[str, str]]:
    return list(csv.DictReader(lines(root / "annotations" / f"{_part(split)}.csv")))


def _part(split: str) -> str:
    return "train" if split == "train" else "val"
