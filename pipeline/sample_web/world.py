"""Making the sample web below a folder, whole or not at all.

web.jsonl       every address and what it answers (`maker.Address`); bodies/ holds the bytes
commons.jsonl   the files that the search API knows (`commons_api.CommonsFile`)
urls.jsonl      the <img> of all pages: url, alt, page_url; urls.parquet is the same
queries.txt     search terms, one per line
truth.jsonl     the right outcome of every candidate (`truth.TruthRow`)
hashes.json     perceptual hashes of all drawn pictures
made_with.json  seed and size
"""

import json
import random
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from filters.queries import QueryIndex
from filters.reasons import Reason
from pipeline.sample_web.captions import search_terms
from pipeline.sample_web.commons_api import CommonsApi
from pipeline.sample_web.folders import made_whole
from pipeline.sample_web.maker import DOMAIN, Maker
from pipeline.sample_web.pages import put_pages
from pipeline.sample_web.put import put_plain
from pipeline.sample_web.roles import ROBOTS, all_roles
from pipeline.sample_web.truth import outcomes

VERSION = 5  # counts up when a seed gives something else, so that an old world is not taken for a new one
MIN_PICTURES = 120  # in fewer there is no room for every fault


def make_world(root: Path, *, num_pictures: int = 4800, seed: int = 0, quiet: bool = False) -> None:
    """Make a web of so many drawn pictures below `root`; a finished one of the same numbers is left as it is.

    Raises ValueError for fewer than MIN_PICTURES, and where `root` holds anything else.
    """
    if num_pictures < MIN_PICTURES:
        raise ValueError(f"num_pictures {num_pictures} leaves out faults: give at least {MIN_PICTURES}")
    made_with = {"what": "world", "version": VERSION, "num_pictures": num_pictures, "seed": seed}
    with made_whole(root, made_with) as folder:
        if folder is not None:
            maker = Maker(folder=folder, rng=random.Random(f"world {seed}"))
            fill(maker, num_pictures, quiet=quiet)
            write_books(maker)


def fill(maker: Maker, num_pictures: int, *, quiet: bool) -> None:
    """Put every role into the world in a mixed order, then pages around the pictures and the hosts' rules."""
    roles = all_roles()
    plan = [name for name, role in roles.items() for _ in range(max(2, round(role.share * num_pictures)))]
    num_drawn = sum(roles[name].draws for name in plan)
    plan += ["plain"] * (num_pictures - num_drawn)
    maker.rng.shuffle(plan)
    for name in tqdm(plan, desc="drawing the sample web", unit=" things", disable=quiet):
        maker.role = name
        put = put_plain if name == "plain" else roles[name].put
        put(maker)
    maker.role = "page"
    put_pages(maker)
    maker.role = "robots"
    for host, rules in ROBOTS.items():
        maker.serve(f"http://{host}.{DOMAIN}/robots.txt", rules.encode(), mime="text/plain")


def write_books(maker: Maker) -> None:
    """Write the tables, after proof that the truth is what searching and matching must give."""
    terms = search_terms()
    prove(maker, terms)
    rows = [asdict(row) for row in maker.rows]
    write_lines(maker.folder / "web.jsonl", map(asdict, maker.addresses))
    write_lines(maker.folder / "commons.jsonl", map(asdict, maker.files))
    write_lines(maker.folder / "urls.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), maker.folder / "urls.parquet")
    write_lines(maker.folder / "truth.jsonl", map(asdict, outcomes(maker.mentions)))
    (maker.folder / "queries.txt").write_text("".join(f"{term}\n" for term in terms), encoding="utf-8")
    hashes = [f"{value:016x}" for value in maker.hashes.values()]
    (maker.folder / "hashes.json").write_text(json.dumps(hashes, indent=0) + "\n", encoding="utf-8")


def prove(maker: Maker, terms: list[str]) -> None:
    """Check that a term finds every file at Commons and that captions hold a term, or none, as meant."""
    api, index = CommonsApi(maker.files, hiccups=False), QueryIndex(terms)
    found = {file.title for term in terms for file in api.search(term)}
    lost = [file.title for file in maker.files if file.title not in found]
    assert not lost, f"no search term finds {lost[:3]}"
    for mention in maker.mentions:
        holds, meant = bool(index.matches(mention.caption)), mention.reason is not Reason.NO_QUERY
        assert holds == meant, f"{mention.role}: search terms in {mention.caption!r}: {holds}, meant {meant}"


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object per line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
