"""The record sets of a Croissant description: which fields the tables and the pictures of a dataset have."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from manifests import columns
from manifests.storage import read_schema
from manifests.store import Dataset

Node = dict[str, Any]

DATA_TYPES = {
    pa.string(): "sc:Text",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.uint64(): "cr:UInt64",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}


def record_sets(dataset: Dataset, with_pictures: bool) -> Iterator[Node]:
    """Yield the record sets: pairs, queries and rejections as tables, and pictures with their captions."""
    index = index_columns(dataset)
    yield _records(
        "pairs",
        "A row per pair, in the order of its shard.",
        _fields("pairs", "index-files", index, columns.INDEX),
    )
    fields = _fields("queries", "queries.parquet", _types(dataset, "queries.parquet"), columns.QUERIES)
    yield _records("queries", "The search terms.", fields)
    files = [file.path for file in dataset.manifest.files if file.path.startswith("rejections/")]
    if files:
        fields = _fields("rejections", "rejection-files", _types(dataset, files[0]), columns.REJECTIONS)
        yield _records("rejections", "What was dropped, and why.", fields)
    if with_pictures:
        yield _records("pictures", "Pictures from the shards, with their facts.", _picture_fields(index))


def index_columns(dataset: Dataset) -> dict[str, pa.DataType]:
    """Return the columns of the index and their types: those of the first shard and of the last, which an
    addition by a newer version may have more of."""
    shards = dataset.manifest.shards
    ends = dict.fromkeys(shard.index.path for shard in (*shards[:1], *shards[-1:]))
    return {name: kind for path in ends for name, kind in _types(dataset, path).items()}


def _types(dataset: Dataset, path: str) -> dict[str, pa.DataType]:
    """Return the columns that a table of the dataset has; earlier versions wrote fewer."""
    return {field.name: field.type for field in read_schema(dataset.root / path)}


def _records(name: str, description: str, fields: list[Node]) -> Node:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description, "field": fields}


def _fields(
    records: str, place: str, types: Mapping[str, pa.DataType], texts: Mapping[str, str]
) -> list[Node]:
    """Return the fields that come from the columns of a table; Croissant has no type for maps."""
    return [
        _field(records, name, texts[name], _source(place, {"column": name}), kind)
        for name, kind in types.items()
        if name in texts and not pa.types.is_map(kind)
    ]


def _field(records: str, name: str, description: str, source: Node, kind: pa.DataType) -> Node:
    inner, repeated = kind, {}
    while pa.types.is_list(inner):
        inner, repeated = inner.value_type, {"repeated": True}
    named = {"@id": f"{records}/{name}", "name": name, "description": description}
    return {"@type": "cr:Field", **named, "dataType": DATA_TYPES[inner], **repeated, "source": source}


def _source(place: str, extract: Node, **more: Any) -> Node:
    of = "fileObject" if place.endswith(".parquet") else "fileSet"
    return {of: {"@id": place}, "extract": extract, **more}


def _picture_fields(index: Mapping[str, pa.DataType]) -> list[Node]:
    """Return the key and the picture from the tars, joined by the key with the facts of the index."""
    # mlcroissant applies the expression twice, also to the key that it has found: it must match that, too.
    stem = _source("picture-files", {"fileProperty": "filename"}, transform={"regex": "^([0-9a-f]{32})"})
    key = _field("pictures", "key", columns.INDEX["key"], stem, pa.string())
    key["references"] = _source("index-files", {"column": "key"})
    content = _source("picture-files", {"fileProperty": "content"})
    picture = _field("pictures", "picture", "The picture", content, pa.string())
    facts = {name: kind for name, kind in index.items() if name != "key"}
    return [
        key,
        picture | {"dataType": "sc:ImageObject"},
        *_fields("pictures", "index-files", facts, columns.INDEX),
    ]
