"""img2dataset as the engine: the real package fetches a unit, and what it leaves becomes the same files.

It runs in a process, and if need be in an interpreter, of its own: its requirements are not ours. It asks no
robots.txt, knows no limits per host, and has no deadline for a whole download and no limit of its bytes. What
differs in the result: the perceptual hash is that of the stored picture, since its originals are gone; their
number of bytes is unknown; the time of a fetch is that of its unit; and EXIF orientation is as it treats it.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from filters.checks import screen_pixels
from filters.colours import colours_of
from filters.do_not_fetch import DoNotFetch, read_do_not_fetch
from filters.hashes import phash
from filters.images import ImageHeader
from filters.looks import greys_32
from filters.pdq import pdq_of
from filters.reasons import Drop, Reason
from manifests.storage import is_local, read_table, written_whole
from manifests.store import write_table
from pipeline.attempts import new_attempt, write_once
from pipeline.config import BuildConfig
from pipeline.fetch import peer_run
from pipeline.fetch.answers import now
from pipeline.fetch.pixels import EncodedPicture
from pipeline.fetch.robots import USER_AGENT_TOKEN
from pipeline.fetch.staging import stage_picture
from pipeline.fetch.words import drop_of_words
from pipeline.limits import Network
from pipeline.progress import Tally
from pipeline.records import IMAGE_SCHEMA, Rejection, reject, to_table
from pipeline.sources import LocalSource
from pipeline.tar import end_tar

ENDINGS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
OPT_OUTS = ["noai", "noimageai", "noindex", "noimageindex", "noml", "none"]
LEFT_OUT = Drop(Reason.DECODER_CRASHED, "img2dataset left it out")

Row = dict[str, Any]


def python_of(config: BuildConfig) -> str:
    """Return the interpreter that runs img2dataset."""
    return config.fetch.img2dataset_python or sys.executable


def check_engine(config: BuildConfig) -> None:
    """Raise ValueError where the chosen engine cannot do what is asked for; before anything is spent."""
    if config.fetch.engine != "img2dataset":
        return
    local = [
        name
        for name, source in config.sources.by_name().items()
        if isinstance(source, LocalSource) and source.units([])
    ]
    table = config.sources.table
    if local:
        raise ValueError(
            f"fetch.engine img2dataset fetches over HTTP alone: take openwit for source {local[0]}"
        )
    if table.hash_column and table.hash_type != "sha256":
        raise ValueError(
            f"table.hash-type must be sha256 with fetch.engine img2dataset, not {table.hash_type!r}"
        )
    if read_do_not_fetch(config.fetch.do_not_fetch).md5s:
        raise ValueError(
            "fetch.do-not-fetch holds md5 entries, and fetch.engine img2dataset tells no md5 of what it "
            "fetches: take openwit, or take them out"
        )
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('img2dataset') is None)"
    try:
        status = subprocess.run([python_of(config), "-c", look], check=False).returncode
    except OSError as error:
        raise ValueError(
            f"fetch.img2dataset-python: {python_of(config)} cannot be run ({error.strerror})"
        ) from error
    if status:
        raise ValueError(
            f"fetch.engine img2dataset: {python_of(config)} has no img2dataset. Next: python -m pip install "
            "img2dataset==1.47.0 there, or give --fetch.img2dataset-python an interpreter that has it"
        )


def fetch_units_by_peer(
    units: Sequence[str], selected: Path, fetched: Path, config: BuildConfig, network: Network, tally: Tally
) -> None:
    """Fetch the units that are not there yet, one after the other; see `engine.fetch_units`."""
    do_not_fetch = read_do_not_fetch(config.fetch.do_not_fetch)
    for unit in units:
        if (fetched / f"{unit}.parquet").exists():
            continue
        pairs = read_table(selected / f"{unit}.parquet").to_pylist()
        wanted = [pair for pair in pairs if do_not_fetch.check_url(pair["url"]) is None]
        with _room_for(unit, fetched) as folder:
            if wanted:
                run_peer(wanted, folder, config, network)
            _Unit(unit, fetched, config, do_not_fetch, tally).bring_in(pairs, folder)


@contextmanager
def _room_for(unit: str, fetched: Path) -> Iterator[Path]:
    """Give an empty folder of this machine, on the disk of the work folder where that is here."""
    if not is_local(fetched):
        with tempfile.TemporaryDirectory(prefix="openwit-") as name:
            yield Path(name)
        return
    folder = fetched / f".{unit}.img2dataset"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut short
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def run_peer(pairs: list[Row], folder: Path, config: BuildConfig, network: Network) -> None:
    """Let img2dataset fetch pairs into a folder. Raises RuntimeError where it fails."""
    rows = {name: [pair[name] for pair in pairs] for name in ("url", "caption", "pair_id")}
    boxes = [pair.get("blur_boxes") for pair in pairs]
    table = pa.table(rows)
    if any(boxes):
        table = table.append_column("blur_boxes", pa.array(boxes, pa.list_(pa.list_(pa.float64()))))
    write_table(folder / "urls.parquet", table)
    (folder / "arguments.json").write_text(json.dumps(arguments_of(config, folder, len(pairs), any(boxes))))
    environment = os.environ | {
        "NO_ALBUMENTATIONS_UPDATE": "1",  # else it asks its maker for news whenever it is imported
        peer_run.CONNECT_TO: json.dumps(network.connect_to),
    }
    command = [python_of(config), peer_run.__file__, str(folder / "arguments.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / "out" / "00000.parquet").exists():
        last = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise RuntimeError(f"img2dataset failed: {last}")


def arguments_of(config: BuildConfig, folder: Path, num_pairs: int, with_boxes: bool) -> dict[str, Any]:
    """Return the arguments of img2dataset's `download` that come nearest to a configuration."""
    fetch, encode = config.fetch, config.encode
    return {
        "url_list": str(folder / "urls.parquet"),
        "input_format": "parquet",
        "caption_col": "caption",
        "save_additional_columns": ["pair_id"],
        "output_folder": str(folder / "out"),
        "output_format": "webdataset",
        "number_sample_per_shard": max(2, num_pairs),
        "processes_count": 1,
        "thread_count": fetch.concurrency,
        "timeout": max(1, round(fetch.timeout_s)),
        "retries": fetch.max_tries - 1,
        "user_agent_token": USER_AGENT_TOKEN,
        "disallowed_header_directives": OPT_OUTS if fetch.respect_opt_out else [],
        "image_size": encode.side_px,
        "resize_mode": encode.resize,
        "resize_only_if_bigger": encode.only_if_bigger,
        "encode_format": ENDINGS[encode.format],
        "encode_quality": 6 if encode.format == "png" else encode.quality,
        "compute_hash": "sha256",
        "extract_exif": False,
        "enable_wandb": False,
        **({"bbox_col": "blur_boxes"} if with_boxes else {}),
    }


class _Unit:
    """One unit that img2dataset has fetched, as it is brought in."""

    def __init__(
        self, name: str, fetched: Path, config: BuildConfig, do_not_fetch: DoNotFetch, tally: Tally
    ) -> None:
        self.name, self.fetched, self.config = name, fetched, config
        self.attempt = new_attempt(fetched, name)
        self.do_not_fetch, self.tally = do_not_fetch, tally
        self.rejections: list[Rejection] = []

    def bring_in(self, pairs: list[Row], folder: Path) -> None:
        """Write the unit's tar, its rows and its rejections."""
        told, pictures = _read(folder / "out", ENDINGS[self.config.encode.format])
        rows, fetched_at = [], now()
        with ExitStack() as stack:
            path = stack.enter_context(written_whole(self.fetched / f"{self.attempt}.tar"))
            tar = stack.enter_context(path.open("wb"))
            for pair in pairs:
                self.tally.add("fetch/in")
                found = told.get(pair["pair_id"])
                picture = self._judge(pair, found, pictures.get(found["key"]) if found else None)
                if picture is not None:
                    self.tally.add("image/out")
                    row = stage_picture(tar, self.attempt, pair, picture, self.config.encode.format)
                    rows.append(row | {"fetched_at": fetched_at})
            end_tar(tar)
        rows.sort(key=lambda row: row["pair_id"])
        write_once(self.fetched, self.name, self.attempt, to_table(rows, IMAGE_SCHEMA), self.rejections)

    def _judge(self, pair: Row, told: Row | None, data: bytes | None) -> EncodedPicture | None:
        """Return the picture that is kept, or write down why there is none."""
        if drop := self.do_not_fetch.check_url(pair["url"]) or _drop_of_download(told, pair):
            self._drop("fetch", drop, pair)
            return None
        assert told is not None
        self.tally.add("fetch/out")
        if told["status"] != "success" or data is None:
            drop = drop_of_words("image", told["error_message"]) if told["error_message"] else LEFT_OUT
            self._drop("image", drop, pair)
            return None
        picture = _picture(told, data)
        header = ImageHeader(
            format="unknown", width_px=picture.original_width, height_px=picture.original_height
        )
        drops = (check.check_header(header) for _, check in self.config.image.of_headers())
        if drop := next(filter(None, drops), None) or self._check_pixels(data, picture):
            self._drop("image", drop, pair)
            return None
        return picture

    def _check_pixels(self, data: bytes, picture: EncodedPicture) -> Drop | None:
        listed = self.do_not_fetch
        with Image.open(io.BytesIO(data)) as image:
            grey, pdq = greys_32(image.convert("RGB")), pdq_of(image) if listed.pdqs else None
        return (
            screen_pixels(grey, self.config.image)
            or listed.check_file({"sha256": picture.sha256})
            or listed.check_phash(picture.phash)
            or listed.check_pdq(pdq)
        )

    def _drop(self, stage: str, drop: Drop, pair: Row) -> None:
        self.tally.add(f"{stage}/dropped/{drop.reason}")
        self.rejections.append(reject(stage, drop, pair))


def _read(out: Path, ending: str) -> tuple[dict[str, Row], dict[str, bytes]]:
    """Return what img2dataset says of each pair_id, and the pictures by its keys."""
    if not out.exists():
        return {}, {}
    told = {row["pair_id"]: row for row in pq.read_table(out / "00000.parquet").to_pylist()}
    pictures = {}
    with tarfile.open(out / "00000.tar") as tar:
        for member in tar:
            if member.name.endswith(f".{ending}") and (file := tar.extractfile(member)):
                pictures[member.name.removesuffix(f".{ending}")] = file.read()
    return told, pictures


def _drop_of_download(told: Row | None, pair: Row) -> Drop | None:
    """Return why a pair's bytes were not to be had, or are not those that were expected."""
    if told is None:
        return LEFT_OUT
    if told["status"] == "failed_to_download":
        return drop_of_words("fetch", told["error_message"] or "")
    expected = (pair.get("expected_hash") or "").removeprefix("sha256:")
    if told["status"] == "success" and expected not in ("", told["sha256"]):
        return Drop(Reason.HASH_MISMATCH, f"sha256 is {told['sha256'][:12]}, not {expected[:12]}")
    return None


def _picture(told: Row, data: bytes) -> EncodedPicture:
    with Image.open(io.BytesIO(data)) as image:
        pixels = image.convert("RGB")
    return EncodedPicture(
        data=data,
        **{name: told[name] for name in ("width", "height", "original_width", "original_height", "sha256")},
        original_bytes=None,
        phash=phash(pixels),
        colours=colours_of(pixels),
    )
