"""Real pictures with real texts as a web: some behind a search API, the rest in URL tables."""

import csv
import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sample_web.commons_api import CommonsApi, CommonsFile
from pipeline.sample_web.server import Resource, Web

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
PAIRS = DATA / "pairs"
DOMAIN = "real.test"
ENDPOINT = f"http://commons.{DOMAIN}/w/api.php"
MIME = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
WORD = re.compile(r"[^\W\d_]{4,}")
NUM_TERMS = 400
LANGUAGES_PER_EMOJI = 3

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """An address with a text, as the web gives it."""

    url: str
    caption: str
    file: Path
    title: str = ""
    licence: str = ""


def read_pairs(name: str) -> list[Row]:
    """Return the rows of one set, each with the path of its picture."""
    folder = PAIRS / name
    lines = (folder / "pairs.jsonl").read_text().splitlines()
    return [row | {"file": folder / row["image"]} for row in map(json.loads, lines)]


def url_of(site: str, row: Row) -> str:
    """Return the address of a picture on one of the sites."""
    return f"http://{site}.{DOMAIN}/{row['id']}{row['file'].suffix}"


def searched() -> list[Mention]:
    """Return what the search API finds: printed captions of textbooks, descriptions of groceries."""
    rows = [(row, row["caption"]) for row in read_pairs("openstax")]
    rows += [(row, row["description"]) for row in read_pairs("grocery")]
    return [
        _mention("upload", row, text, f"File:{row['id']}{row['file'].suffix}") for row, text in rows if text
    ]


def listed() -> dict[str, list[Mention]]:
    """Return what the tables list: alt texts of textbooks, drawings with titles, emoji in some languages."""
    emoji = []
    for number, row in enumerate(read_pairs("emoji")):
        texts = {"en": f"{row['caption']}, an emoji drawing that means {', '.join(row['keywords'])}"}
        others = sorted(row["captions"])
        for step in range(min(LANGUAGES_PER_EMOJI, len(others))):
            language = others[(number + step * 7) % len(others)]
            texts[language] = f"{row['captions'][language]}, {row['caption']} emoji"
        emoji += [_mention(f"emoji-{language}", row, text) for language, text in texts.items()]
    return {
        "textbooks": [_mention("books", row, row["alt"]) for row in read_pairs("openstax") if row["alt"]],
        "drawings": [_mention("clipart", row, title_as_alt(row)) for row in read_pairs("openclipart")],
        "emoji": emoji,
    }


def _mention(site: str, row: Row, caption: str, title: str = "") -> Mention:
    licence = row["license"]
    return Mention(url=url_of(site, row), caption=caption, file=row["file"], title=title, licence=licence)


def title_as_alt(row: Row) -> str:
    """Return the alt text that a clip art site gives a drawing."""
    category = row["category"].replace("/", ", ").replace("_", " ")
    return f"A drawing of {row['caption']}, free clip art from the category {category}"


def search_terms(captions: list[str]) -> list[str]:
    """Return the words that most captions hold, in any language: what people would search this web for."""
    counts = Counter(word for caption in captions for word in set(WORD.findall(caption.casefold())))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    return ordered[:NUM_TERMS]


def write_tables(tables: dict[str, list[Mention]], folder: Path) -> tuple[str, ...]:
    """Write one table of each kind that is read: parquet, csv and gzipped jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        name: [{"url": m.url, "caption": m.caption, "licence": m.licence} for m in mentions]
        for name, mentions in tables.items()
    }
    paths = (folder / "textbooks.parquet", folder / "drawings.csv", folder / "emoji.jsonl.gz")
    pq.write_table(pa.Table.from_pylist(rows["textbooks"]), paths[0])
    with paths[1].open("w", newline="") as file:
        writer = csv.DictWriter(file, ["url", "caption", "licence"])
        writer.writeheader()
        writer.writerows(rows["drawings"])
    with gzip.open(paths[2], "wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows["emoji"])
    return tuple(map(str, paths))


def make_web(found: list[Mention], tables: dict[str, list[Mention]]) -> Web:
    """Return the web that serves every picture and the search."""
    web = Web()
    for mention in [*found, *(mention for mentions in tables.values() for mention in mentions)]:
        headers = {"Content-Type": MIME[mention.file.suffix.lower()]}
        web.add(mention.url, Resource(body=mention.file, headers=headers))
    files = [
        CommonsFile(
            title=mention.title,
            url=mention.url,
            width_px=0,
            height_px=0,
            num_bytes=mention.file.stat().st_size,
            mime=MIME[mention.file.suffix.lower()],
            description=mention.caption,
            licence=mention.licence,
            licence_url="",
            artist="",
        )
        for mention in found
    ]
    web.mount(f"commons.{DOMAIN}", "/w/api.php", CommonsApi(files).answer)
    return web
