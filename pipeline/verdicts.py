"""Verdicts: for every copy the picture that is kept in its stead, and what each kept picture stands for.

As columns in one process: some hundred bytes a copy.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.reasons import Reason
from manifests.store import write_table
from pipeline.dedup import COPY_SCHEMA, LEN_SIZE
from pipeline.parts import parts_in

# What a unit needs to know of its pairs: the dropped ones, and what each kept one stands for.
VERDICT_SCHEMA = pa.schema(
    {
        "unit": pa.string(),
        "pair_id": pa.string(),
        "reason": pa.string(),  # null for a kept one, as are detail, kept_key and distance
        "detail": pa.string(),
        "kept_key": pa.string(),
        "distance": pa.int32(),
        "num_duplicates": pa.int32(),
        "captions": pa.list_(pa.string()),  # of the copies, where they are kept
    }
)


def judge_copies(copies: Path, verdicts: Path) -> None:
    """Write one verdict table per unit from all parts of COPY_SCHEMA in `copies`.

    Every dropped picture points at its best better copy; those pointers end at a picture without one.
    """
    table = pa.concat_tables([COPY_SCHEMA.empty_table(), *(part.rows() for part in parts_in(copies))])
    # What is published stays, and so do references (units that begin with @): none of them is a copy.
    table = table.filter(pc.invert(pc.match_substring_regex(table["worse_unit"], "^(@|$)")))
    if not len(table):
        return
    chosen = _best_of_each(table)
    end = _ends(chosen)
    kept = chosen.select(["better", "better_unit", "better_key"]).take(pa.array(end))
    judged = pa.concat_tables([_dropped(chosen, kept), _standing_for(chosen, kept)])
    judged = judged.sort_by([("unit", "ascending"), ("pair_id", "ascending")])
    units, starts = np.unique(judged["unit"].to_numpy(zero_copy_only=False), return_index=True)
    for unit, start, stop in zip(units, starts, [*starts[1:], len(judged)], strict=True):
        # Pictures in shards and references are not written again, to count what they stand for.
        if unit and not unit.startswith("@"):
            write_table(verdicts / f"{unit}.parquet", judged.slice(start, stop - start))


def _best_of_each(copies: pa.Table) -> pa.Table:
    """Return one row per dropped picture. A copy of an evaluation set's is named as such first, then an exact
    copy, whatever else it is near to."""
    copies = copies.append_column("evaluated", pc.starts_with(copies["better_unit"], "@evaluation/"))
    order = [
        ("worse", "ascending"),
        ("evaluated", "descending"),
        ("exact", "descending"),
        ("better", "ascending"),
    ]
    ordered = copies.sort_by(order).combine_chunks()
    again = pc.equal(ordered["worse"][1:], ordered["worse"][:-1]).to_numpy(zero_copy_only=False)
    return ordered.filter(pa.array(np.append(True, ~again)))


def _ends(chosen: pa.Table) -> np.ndarray:
    """Return int64 (N,): for each row the row whose better picture is kept, at the end of its pointers."""
    following = pc.index_in(chosen["better"], value_set=chosen["worse"].combine_chunks())
    own = np.arange(len(chosen))
    at = pc.fill_null(following, -1).to_numpy().astype(np.int64)
    at = np.where(at < 0, own, at)
    while (at[at] != at).any():
        at = at[at]
    return at


def _dropped(chosen: pa.Table, kept: pa.Table) -> pa.Table:
    near = pc.binary_join_element_wise(chosen["distance"].cast(pa.string()), " of 64 bits differ", "")
    exact, unit = chosen["exact"], chosen["better_unit"]
    reason = pc.if_else(exact, str(Reason.EXACT_DUPLICATE), str(Reason.NEAR_DUPLICATE))
    detail = pc.if_else(exact, "the same bytes", near)
    # "@evaluation/cifar10": its name and the item are said.
    of_item = pc.binary_join_element_wise(
        pc.replace_substring_regex(unit, "^@[a-z]+/", ""), ": ", chosen["better_key"], ", ", detail, ""
    )
    columns = {
        "unit": chosen["worse_unit"],
        "pair_id": _pair_id(chosen["worse"]),
        "reason": pc.if_else(pc.starts_with(unit, "@evaluation/"), str(Reason.IN_EVALUATION_SET), reason),
        "detail": pc.if_else(pc.starts_with(unit, "@"), of_item, detail),
        "kept_key": kept["better_key"],
        "distance": chosen["distance"],
        "num_duplicates": pa.repeat(pa.scalar(0, pa.int32()), len(chosen)),
        "captions": pa.nulls(len(chosen), pa.list_(pa.string())),
    }
    return pa.table(columns, schema=VERDICT_SCHEMA)


def _standing_for(chosen: pa.Table, kept: pa.Table) -> pa.Table:
    each = kept.select(["better", "better_unit"]).append_column("caption", chosen["caption"])
    groups = each.group_by(["better", "better_unit"]).aggregate([([], "count_all"), ("caption", "distinct")])
    nothing = pa.nulls(len(groups), pa.string())
    columns = {
        "unit": groups["better_unit"],
        "pair_id": _pair_id(groups["better"]),
        "reason": nothing,
        "detail": nothing,
        "kept_key": nothing,
        "distance": pa.nulls(len(groups), pa.int32()),
        "num_duplicates": groups["count_all"].cast(pa.int32()),
        "captions": groups["caption_distinct"],
    }
    return pa.table(columns, schema=VERDICT_SCHEMA)


def _pair_id(ranks: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_slice_codeunits(ranks, LEN_SIZE)
