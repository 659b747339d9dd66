"""What is written down of a download, and what must never be: rows, opt-outs, listed pictures, contacts."""

import io
import struct
import tarfile
import uuid
import zlib
from dataclasses import replace
from hashlib import md5
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from yarl import URL

from filters.hashes import phash, sha256_hex
from filters.pdq import pdq_of
from filters.reasons import Drop
from manifests.schema import ADDED_COLUMNS, INDEX_SCHEMA
from manifests.store import write_table
from manifests.versions import is_of
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.fetch.answers import Download
from pipeline.fetch.client import open_client
from pipeline.fetch.contact import MAX_URLS_WITHOUT_CONTACT, check_contact
from pipeline.fetch.engine import fetch_units
from pipeline.fetch.tdm import TDM_PATH, Reservations
from pipeline.limits import Fetch, Network
from pipeline.parts import Part
from pipeline.progress import Tally, counts_in
from pipeline.records import PAIR_SCHEMA
from pipeline.sample_web.bad_files import huge_png
from pipeline.sample_web.server import Resource, Served, Web, serving
from pipeline.sources import Sources
from pipeline.sources.table import Table

FACTS = ("http_status", "etag", "last_modified", "final_url", "robots", "opt_out")
HOST = "http://a.sample.test"
LIMITS = Fetch(timeout_s=5, max_tries=1, per_host_interval_s=0.0)
SEEN = {"ETag": '"v1"', "Last-Modified": "Mon, 01 Jan 2001 00:00:00 GMT", "X-Robots-Tag": "noarchive"}


def picture(seed: int, size: int = 96) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def fetch(served: Served, root: Path, urls: list[str], limits: Fetch = LIMITS) -> Path:
    """Fetch one unit of these URLs; return the folder of its parts."""
    pairs = [
        {"pair_id": f"{number:032x}", "url": url, "caption": "cup", "source": "table", "query_ids": [0]}
        for number, url in enumerate(urls)
    ]
    write_table(root / "selected" / "00.parquet", pa.Table.from_pylist(pairs, schema=PAIR_SCHEMA))
    network, out = Network(connect_to=served.connect_to), root / "fetched"
    tally = Tally(root / "tallies")
    fetch_units(["00"], root / "selected", out, BuildConfig(fetch=limits), network, tally)
    tally.write()
    return out


def test_the_facts_of_a_download_stand_in_its_row(tmp_path: Path) -> None:
    content = Web()
    content.add(f"{HOST}/robots.txt", Resource(body=b"User-agent: *\nDisallow: /other\n"))
    content.add(f"{HOST}/cup.png", Resource(body=picture(1), headers=SEEN))
    content.add("http://b.sample.test/moved", Resource(status=301, headers={"Location": f"{HOST}/cup.png"}))
    with serving(content) as served:
        out = fetch(served, tmp_path, [f"{HOST}/cup.png", "http://b.sample.test/moved"])
    rows = pq.read_table(out / "00.parquet", columns=list(FACTS)).to_pylist()
    facts = {
        "http_status": 200,
        "etag": '"v1"',
        "last_modified": "Mon, 01 Jan 2001 00:00:00 GMT",
        "robots": "allowed",
        "opt_out": "X-Robots-Tag: noarchive",
    }
    assert rows == [{**facts, "final_url": None}, {**facts, "final_url": f"{HOST}/cup.png"}]


def test_names_that_are_looked_up_are_counted(tmp_path: Path) -> None:
    with serving(Web()) as served:
        fetch(served, tmp_path, [f"http://{uuid.uuid4().hex}.invalid/x"] * 2)
    assert counts_in(tmp_path / "tallies")["names/asked"] >= 1


def test_an_index_of_an_earlier_version_is_still_one() -> None:
    earlier = pa.schema([column for column in INDEX_SCHEMA if column.name not in ADDED_COLUMNS])
    assert is_of(INDEX_SCHEMA, INDEX_SCHEMA)
    assert is_of(INDEX_SCHEMA, earlier)
    assert not is_of(INDEX_SCHEMA, earlier.remove(0))
    assert not is_of(INDEX_SCHEMA, INDEX_SCHEMA.append(pa.field("more", pa.string())))


@pytest.mark.parametrize("kind", ["sha256:", "phash:", "md5:", "pdq:", ""])
def test_a_listed_picture_is_never_written(tmp_path: Path, kind: str) -> None:
    listed, other = picture(1), picture(2)
    hashes = {
        "": sha256_hex(listed),  # as organisations hand lists out
        "sha256:": sha256_hex(listed),
        "md5:": md5(listed).hexdigest(),
        "phash:": f"{phash(Image.open(io.BytesIO(listed)).convert('RGB')):016x}",
        "pdq:": pdq_of(Image.open(io.BytesIO(listed))) if find_spec("pdqhash") else None,
    }
    if hashes[kind] is None:
        pytest.skip("pdqhash is not installed: PDQ is an extra")
    (tmp_path / "list.txt").write_text(f"{kind}{hashes[kind]}\n")
    content = Web()
    content.add(f"{HOST}/listed.png", Resource(body=listed))
    content.add(f"{HOST}/other.png", Resource(body=other))
    with serving(content) as served:
        limits = replace(LIMITS, do_not_fetch=str(tmp_path / "list.txt"))
        out = fetch(served, tmp_path, [f"{HOST}/listed.png", f"{HOST}/other.png"], limits)
    rejected = pq.read_table(out / "00.rejections.parquet").to_pylist()
    assert [(row["reason"], row["thumbnail"]) for row in rejected] == [("picture_blocked", None)]
    with tarfile.open(out / "00.tar") as tar:
        assert len(tar.getmembers()) == 1
    assert counts_in(tmp_path / "tallies")["image/out"] == 1


async def outcome(content: Web, url: str, limits: Fetch = LIMITS) -> str:
    """What becomes of a URL: its reason and why, or what its row says about opting out."""
    with serving(content) as served:
        async with open_client(Network(connect_to=served.connect_to), limits) as client:
            answer = await client.download(url)
    if isinstance(answer, Drop):
        return str(answer)
    assert isinstance(answer, Download)
    return f"kept: {answer.opt_out}"


async def test_a_redirect_to_what_must_not_be_fetched_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("b.sample.test\n")
    content = Web()
    content.add(f"{HOST}/moved", Resource(status=302, headers={"Location": "http://b.sample.test/x"}))
    limits = replace(LIMITS, do_not_fetch=str(tmp_path / "list.txt"))
    blocked = "url_blocked: domain b.sample.test is on the do-not-fetch list"
    assert await outcome(content, f"{HOST}/moved", limits) == blocked
    assert not any("b.sample.test" in url for url in content.num_requests)


RESERVED = b'[{"location": "/photos/", "tdm-reservation": 1, "tdm-policy": "https://a.sample.test/policy"}]'
IN_FILE, IN_HEADER = (
    "opted_out: TDM-Reservation: 1 in tdmrep.json",
    "opted_out: TDM-Reservation: 1 in its header",
)


@pytest.mark.parametrize(
    ("file", "header", "expected"),
    [
        (None, None, "kept: None"),
        (RESERVED, None, IN_FILE),
        (RESERVED, "0", "kept: TDM-Reservation: 0; tdmrep.json: 1"),
        (RESERVED.replace(b"1", b"0", 1), None, "kept: tdmrep.json: 0"),
        (None, "1", IN_HEADER),
        (None, "maybe", "kept: TDM-Reservation: maybe"),
        (b"<html>Not here</html>", None, "kept: None"),
        (b'{"location": "/"}', None, "kept: None"),
    ],
)
async def test_rights_that_a_site_reserves_are_respected_and_the_header_has_the_last_word(
    file: bytes | None, header: str | None, expected: str
) -> None:
    content = Web()
    if file is not None:
        content.add(HOST + TDM_PATH, Resource(body=file))
    headers = {"TDM-Reservation": header} if header else {}
    content.add(f"{HOST}/photos/cup.jpg", Resource(body=b"cup", headers=headers))
    assert await outcome(content, f"{HOST}/photos/cup.jpg") == expected
    assert content.num_requests[HOST + TDM_PATH] == 1


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, read_tdm_file=False), replace(LIMITS, respect_opt_out=False)]
)
async def test_the_file_is_not_asked_for_where_the_operator_says_so(limits: Fetch) -> None:
    content = Web()
    content.add(HOST + TDM_PATH, Resource(body=RESERVED))
    content.add(f"{HOST}/photos/cup.jpg", Resource(body=b"cup"))
    assert await outcome(content, f"{HOST}/photos/cup.jpg", limits) == "kept: None"
    assert content.num_requests[HOST + TDM_PATH] == 0


async def test_robots_txt_may_forbid_the_file_and_then_it_is_not_asked_for() -> None:
    content = Web()
    content.add(f"{HOST}/robots.txt", Resource(body=b"User-agent: *\nDisallow: /.well-known/\n"))
    content.add(HOST + TDM_PATH, Resource(body=RESERVED))
    content.add(f"{HOST}/photos/cup.jpg", Resource(body=b"cup"))
    assert await outcome(content, f"{HOST}/photos/cup.jpg") == "kept: None"
    assert content.num_requests[HOST + TDM_PATH] == 0


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/", "/a/b.jpg", True),
        ("/*", "/a/b.jpg", True),
        ("/a", "/abc", True),
        ("/a/", "/abc", False),
        ("/*.jpg$", "/a/b.jpg", True),
        ("/*.jpg$", "/a/b.jpg?x", False),
        ("/*.jpg", "/a/b.jpg?x", True),
        ("/a*b*c$", "/a-b-b-c", True),
        ("/a*b*c$", "/a-c-b", False),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("/ab*b$", "/ab", False),
        ("/foo-%24", "/foo-$", True),
        ("/foo-%24", "/foo-", False),
        ("/a%2Ab", "/a*b", True),
        ("/a%2Ab", "/acb", False),
        ("*" * 99 + "x", "/" + "a" * 2_000, False),
    ],
)
def test_a_location_is_a_pattern_as_in_robots_txt(pattern: str, path: str, matches: bool) -> None:
    assert (
        Reservations(((pattern, True),)).reserved(URL(f"http://a.test{path}", encoded=True)) is True
    ) is matches


def test_the_first_location_that_matches_decides() -> None:
    rules = Reservations((("/free/not/", True), ("/free/", False), ("/*", True), ("/x/open", False)))
    paths = ("/x", "/free/x", "/free/not/x", "/x/open")
    assert [rules.reserved(URL(f"http://a.test{path}")) for path in paths] == [True, False, True, True]


# Bombs


def webp_of(side_px: int) -> bytes:
    """A lossless WebP of a few bytes that declares a square."""
    bits = (side_px - 1) | (side_px - 1) << 14
    data = b"\x2f" + struct.pack("<I", bits) + bytes(16)
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data


def gif_of(side_px: int) -> bytes:
    """A GIF of a few bytes that declares a square, its one frame included."""
    size = struct.pack("<HH", side_px, side_px)
    return b"GIF89a" + size + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + size + b"\0\x02\x02\x44\x01\0;"


def tiff_of(side_px: int) -> bytes:
    """A TIFF of zeros, packed, that declares a square of grey."""
    strip = zlib.compress(bytes(1_000_000))
    entries = [
        (256, side_px),
        (257, side_px),
        (258, 8),
        (259, 8),
        (262, 1),
        (273, 8),
        (278, side_px),
        (279, len(strip)),
    ]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    start = 8 + len(strip)
    return (
        b"II*\0" + struct.pack("<I", start) + strip + struct.pack("<H", len(entries)) + directory + bytes(4)
    )


BOMBS = {
    "png": lambda: huge_png(None, None),  # type: ignore[arg-type]  # it needs neither maker nor subject
    "webp": lambda: webp_of(16_384),
    "gif": lambda: gif_of(65_535),
    "tiff": lambda: tiff_of(65_535),
}


def test_pictures_that_unpack_to_billions_of_pixels_are_refused_and_others_go_on(tmp_path: Path) -> None:
    content = Web()
    content.add(f"{HOST}/good", Resource(body=picture(1)))
    for name, bomb in BOMBS.items():
        content.add(f"{HOST}/{name}", Resource(body=bomb(), headers={"Content-Type": "image/jpeg"}))
    with serving(content) as served:
        out = fetch(served, tmp_path, [f"{HOST}/{name}" for name in ("good", *BOMBS)])
    rejected = pq.read_table(out / "00.rejections.parquet").to_pylist()
    assert {row["url"].rpartition("/")[2]: row["reason"] for row in rejected} == dict.fromkeys(
        BOMBS, "image_too_many_pixels"
    )
    assert len(pq.read_table(out / "00.parquet")) == 1


# Who asks


def part_of(root: Path, urls: list[str]) -> Part:
    pairs = [{"pair_id": str(number), "url": url} for number, url in enumerate(urls)]
    write_table(root / "00.parquet", pa.Table.from_pylist(pairs, schema=PAIR_SCHEMA))
    return Part(root, "00")


@pytest.mark.parametrize(
    ("host", "more", "contact", "refused"),
    [
        ("a.example.com", 0, "", False),
        ("a.example.com", 1, "", True),
        ("a.example.com", 1, " ", True),
        ("a.example.com", 1, "me@example.com", False),
        ("a.sample.test", 1, "", False),
    ],
)
def test_more_than_a_thousand_urls_of_others_need_a_contact(
    tmp_path: Path, host: str, more: int, contact: str, refused: bool
) -> None:
    urls = [f"http://{host}/{number}" for number in range(MAX_URLS_WITHOUT_CONTACT + more)]
    network = Network(connect_to=("*.sample.test=127.0.0.1:1",), contact=contact)
    parts = [part_of(tmp_path, urls)]
    if refused:
        with pytest.raises(ValueError, match=r"fetch.contact is .* run again with --fetch.contact"):
            check_contact(parts, BuildConfig(), network)
    else:
        check_contact(parts, BuildConfig(), network)


def test_a_build_that_lacks_a_contact_says_so_before_it_fetches_and_goes_on_once_it_has_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "terms.txt").write_text("red cup\n")
    urls = [f"http://nowhere.invalid/{number}.jpg" for number in range(MAX_URLS_WITHOUT_CONTACT + 1)]
    lines = [
        f"{url},A photo of a red cup that stands on the table in room {number}"
        for number, url in enumerate(urls)
    ]
    (tmp_path / "urls.csv").write_text("\n".join(["url,caption", *lines]))
    table = Table(paths=(str(tmp_path / "urls.csv"),))
    config = BuildConfig(queries=str(tmp_path / "terms.txt"), sources=Sources(table=table))
    options = RunOptions(dataset=tmp_path / "dataset", quiet=True)
    with pytest.raises(ValueError, match=r"fetch.contact is '': who fetches more than 1,000 URLs"):
        build(config, options)
    assert not list((tmp_path / "dataset/work/fetched").glob("*.parquet"))
    manifest = build(replace(config, fetch=Fetch(contact="me@example.com")), options)
    (stage,) = [stage for stage in manifest.funnel if stage.stage == "fetch"]
    assert stage.dropped == {"name_not_resolved": MAX_URLS_WITHOUT_CONTACT + 1}
