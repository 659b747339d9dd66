"""The global order by key: exact shard sizes, and each shard a fair sample of all."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.hashes import sha256_hex
from filters.sampling import content_key
from pipeline.parts import Part, parts_in, write_part
from pipeline.pool import EVERY, Caps, Pool
from pipeline.records import KEPT_SCHEMA
from pipeline.runners import run
from pipeline.shards import OrderByKey, plan_shards

NUM_PAIRS, PER_SHARD, NUM_TERMS = 12_000, 1_500, 12


def test_a_shard_is_a_fair_sample_of_all_that_was_found(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(NUM_PAIRS):  # source after source, host after host, as units of work are
        caption, source = f"a cup, {number}", ("commons", "openverse", "table")[number * 3 // NUM_PAIRS]
        key = content_key(sha256_hex(str(number).encode()), caption)
        url = f"http://host{number // 100}.test/{number}"
        found = {"key": key, "url": url, "caption": caption, "source": source, "query_ids": [number // 1000]}
        rows.append(found | {"pair_id": f"{number:032x}", "keep_probability": 1.0})
    parts = [Part(tmp_path / "kept", f"{number:03d}") for number in range(4)]
    for part, start in zip(parts, range(0, NUM_PAIRS, NUM_PAIRS // 4), strict=True):
        block = rows[start : start + NUM_PAIRS // 4]
        write_part(part.folder, part.name, pa.Table.from_pylist(block, KEPT_SCHEMA), [])
    every = Caps(np.full(NUM_TERMS, EVERY), Pool(), NUM_PAIRS)
    run(OrderByKey(parts, every, tmp_path / "ordered"), 1)
    plans = plan_shards(parts_in(tmp_path / "ordered"), PER_SHARD)
    shards = [
        pa.concat_tables(part.rows().slice(start, stop - start) for part, start, stop in plan.ranges)
        for plan in plans
    ]
    assert [key for shard in shards for key in shard["key"].to_pylist()] == sorted(row["key"] for row in rows)
    sigma = (PER_SHARD * (1 / NUM_TERMS) * (11 / NUM_TERMS)) ** 0.5
    for shard in shards:
        assert len(shard) == PER_SHARD
        counts = np.bincount(pc.list_flatten(shard["query_ids"]).to_numpy(), minlength=NUM_TERMS)
        assert np.abs(counts - PER_SHARD / NUM_TERMS).max() < 4.5 * sigma
        assert len(pc.unique(shard["url"])) == PER_SHARD
