"""Run inside .venv-peers: what other people's readers make of a dataset.

    .venv-peers/bin/python -m tests.bench.peer_readers duckdb DATASET

Prints JSON: the reader's version, and of each sample its key, caption and SHA-256 of the picture's bytes. A
table only names its pictures: their bytes are then taken from the tar, where the row says.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

Sample = tuple[str, str, bytes]
FACTS = ("key", "caption", "offset", "num_bytes")


def hugging_face(root: Path) -> Iterator[Sample]:
    """load_dataset(DATASET): the data card says where the shards are and what is in them."""
    import datasets

    table = datasets.load_dataset(str(root), split="train")
    for sample in table.cast_column("jpg", datasets.Image(decode=False)):
        yield sample["__key__"], sample["txt"], sample["jpg"]["bytes"]


def hugging_face_streaming(root: Path) -> Iterator[Sample]:
    """The same without a copy, as large ones are read."""
    import datasets

    stream = datasets.load_dataset(str(root), split="train", streaming=True)
    for sample in stream.cast_column("jpg", datasets.Image(decode=False)):
        yield sample["__key__"], sample["txt"], sample["jpg"]["bytes"]


def hugging_face_webdataset(root: Path) -> Iterator[Sample]:
    """Its webdataset builder by name, told what to read of each sample."""
    import datasets

    names = {"__key__": datasets.Value("string"), "txt": datasets.Value("string")}
    features = datasets.Features({**names, "jpg": datasets.Image(decode=False)})
    files = {"train": f"{root}/shards/*.tar"}
    table = datasets.load_dataset("webdataset", data_files=files, features=features, split="train")
    for sample in table:
        yield sample["__key__"], sample["txt"], sample["jpg"]["bytes"]


def hugging_face_parquet(root: Path) -> Iterator[Sample]:
    """Its parquet builder on the index, told which columns to read: it knows no maps, such as `scores`."""
    import datasets

    kinds = ("string", "string", "int64", "int64")
    features = datasets.Features(
        {name: datasets.Value(kind) for name, kind in zip(FACTS, kinds, strict=True)}
    )
    files, columns = f"{root}/index/*.parquet", list(FACTS)
    table = datasets.load_dataset(
        "parquet", data_files=files, columns=columns, features=features, split="train"
    )
    return from_rows(root, table)


def mlcroissant(root: Path) -> Iterator[Sample]:
    """Record set "pictures": members of the tars, joined with the index."""
    import mlcroissant as library

    for record in library.Dataset(jsonld=str(root / "croissant.json")).records("pictures"):
        picture = record["pictures/picture"]
        yield record["pictures/key"].decode(), record["pictures/caption"].decode(), picture.fp.getvalue()


def mlcroissant_pairs(root: Path) -> Iterator[Sample]:
    """Record set "pairs": the rows of the index."""
    import mlcroissant as library

    records = library.Dataset(jsonld=str(root / "croissant.json")).records("pairs")
    rows = ({name: record[f"pairs/{name}"] for name in FACTS} for record in records)
    decoded = (row | {name: row[name].decode() for name in ("key", "caption")} for row in rows)
    return from_rows(root, decoded)


def duckdb(root: Path) -> Iterator[Sample]:
    """SQL over the index."""
    import duckdb as library

    columns = ", ".join(f'"{name}"' for name in FACTS)  # offset is a word of SQL, too
    found = library.sql(f"select {columns} from '{root}/index/*.parquet'").fetchall()
    return from_rows(root, (dict(zip(FACTS, row, strict=True)) for row in found))


def pandas(root: Path) -> Iterator[Sample]:
    """read_parquet of the whole folder."""
    import pandas as library

    return from_rows(root, library.read_parquet(root / "index").to_dict("records"))


def img2dataset(root: Path) -> Iterator[Sample]:
    """Its Reader, which would fetch all of it again from the index: its table of URLs, captions and more."""
    import pyarrow as pa
    from img2dataset.reader import Reader

    work = root.parent / "img2dataset"
    work.mkdir(exist_ok=True)
    columns = ["key", "offset", "num_bytes"]
    place, to = str(root / "index"), str(work)
    reader = Reader(place, "parquet", "url", "caption", "sha256", "sha256", columns, 7, set(), to)
    for _, path in reader:
        with pa.ipc.open_file(path) as file:
            yield from from_rows(root, file.read_all().to_pylist())


def from_rows(root: Path, rows: Iterable[Any]) -> Iterator[Sample]:
    """Yield the samples of index rows, whose tar is the one that has the key's member there."""
    tars = [path.read_bytes() for path in sorted((root / "shards").glob("*.tar"))]
    for row in rows:
        start, name = int(row["offset"]), row["key"].encode()
        tar = next(tar for tar in tars if tar[start - 512 : start].startswith(name))
        yield row["key"], row["caption"], tar[start : start + int(row["num_bytes"])]


READERS: dict[str, tuple[str, Callable[[Path], Iterator[Sample]]]] = {
    "hugging_face": ("datasets", hugging_face),
    "hugging_face_streaming": ("datasets", hugging_face_streaming),
    "hugging_face_webdataset": ("datasets", hugging_face_webdataset),
    "hugging_face_parquet": ("datasets", hugging_face_parquet),
    "mlcroissant": ("mlcroissant", mlcroissant),
    "mlcroissant_pairs": ("mlcroissant", mlcroissant_pairs),
    "duckdb": ("duckdb", duckdb),
    "pandas": ("pandas", pandas),
    "img2dataset": ("img2dataset", img2dataset),
}


def main(name: str, root: str) -> None:
    """Read the dataset with one of the readers and print what it gave."""
    package, read = READERS[name]
    samples = [
        {"key": key, "caption": caption, "picture_sha256": hashlib.sha256(picture).hexdigest()}
        for key, caption, picture in read(Path(root))
    ]
    print(json.dumps({"version": version(package), "samples": samples}))


if __name__ == "__main__":
    main(*sys.argv[1:])
