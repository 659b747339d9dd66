"""img2dataset as the engine: the real package, in its own environment, against ours on the same web."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline.__main__
from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig, Dedup, RunOptions
from pipeline.fetch.peer import check_engine
from pipeline.fetch.words import drop_of_words
from pipeline.limits import Fetch
from pipeline.sample_web.server import Resource, Served, Web, serving
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from pipeline.sources.table import Table
from tests.fakes import make_picture
from tests.small_world import outcomes

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers"
INSTALLED = any(PEERS.glob("lib/*/site-packages/img2dataset"))
with_img2dataset = pytest.mark.skipif(not INSTALLED, reason="no img2dataset in .venv-peers: make peers")

HOST = "http://a.sample.test"
CUT = make_picture(5, side_px=96)[:60]
# What each path answers, and what becomes of it by either engine.
WEB: dict[str, tuple[Resource, str]] = {
    **{f"/{number}.jpg": (Resource(body=make_picture(number, side_px=300)), "kept") for number in range(4)},
    "/gone.jpg": (Resource(status=404), "http_error"),
    "/busy.jpg": (Resource(status=429, headers={"Retry-After": "0"}), "rate_limited"),
    "/optout.jpg": (Resource(body=make_picture(6), headers={"X-Robots-Tag": "noai"}), "opted_out"),
    "/loop.jpg": (Resource(status=302, headers={"Location": f"{HOST}/loop.jpg"}), "too_many_redirects"),
    "/inside.jpg": (
        Resource(status=302, headers={"Location": "http://127.0.0.1/x.jpg"}),
        "address_not_public",
    ),
    "/cut.jpg": (Resource(body=CUT), "image_corrupt"),
    "/icon.jpg": (Resource(body=make_picture(7, side_px=32)), "image_too_small"),
    "/other.jpg": (Resource(body=make_picture(8, side_px=300)), "hash_mismatch"),
    "/slow.jpg": (Resource(body=make_picture(9), delay_s=30.0), "timeout"),
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    web = Web()
    for path, (resource, _) in WEB.items():
        web.add(f"{HOST}{path}", resource)
    with serving(web) as served:
        yield served


@pytest.fixture
def config(tmp_path: Path) -> BuildConfig:
    rows: list[dict[str, Any]] = [
        {"url": f"{HOST}{path}", "caption": f"A red cup on a table, as in {path[1:-4]}", "id": number}
        for number, path in enumerate(WEB)
    ]
    rows[0] |= {"faces": [[0.1, 0.1, 0.6, 0.6]], "hash": hashlib.sha256(WEB["/0.jpg"][0].read()).hexdigest()}
    next(row for row in rows if "other" in row["url"])["hash"] = "0" * 64
    (tmp_path / "urls.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "terms.txt").write_text("cup\n")
    table = Table(
        paths=(str(tmp_path / "urls.jsonl"),),
        additional_columns=("id",),
        hash_column="hash",
        boxes_column="faces",
    )
    fetch = Fetch(contact="you@example.org", per_host_interval_s=0.0, max_tries=1, timeout_s=2.0)
    # The two hash other pixels, so that the shapes' near-duplicates differ.
    return BuildConfig(
        queries=str(tmp_path / "terms.txt"),
        sources=Sources(table=table),
        fetch=fetch,
        dedup=Dedup(max_distance=None),
    )


def by_peer(config: BuildConfig) -> BuildConfig:
    return replace(
        config,
        fetch=replace(config.fetch, engine="img2dataset", img2dataset_python=str(PEERS / "bin/python")),
    )


def rows_of(root: Path) -> dict[str, dict[str, Any]]:
    """The index by URL, each with its picture."""
    opened = open_dataset(root)
    return {
        row["url"]: row | {"picture": opened.read_picture(shard, row)}
        for shard in opened.manifest.shards
        for row in opened.read_index(shard).to_pylist()
    }


@with_img2dataset
def test_both_engines_end_with_the_same_pairs_and_reasons(
    config: BuildConfig, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise RuntimeError("cut")

    for name, wanted in (("ours", config), ("theirs", by_peer(config))):
        options = RunOptions(dataset=tmp_path / name, connect_to=served.connect_to, quiet=True)
        with monkeypatch.context() as patched:  # after the fetch, which is then not done again
            patched.setattr("pipeline.build.judge_copies", cut)
            with pytest.raises(RuntimeError, match="cut"):
                build(wanted, options)
        before = served.web.num_requests.copy()
        build(wanted, options)
        assert served.web.num_requests == before
        assert list(verify(tmp_path / name)) == []
    ours, theirs = rows_of(tmp_path / "ours"), rows_of(tmp_path / "theirs")
    assert {url.removeprefix(HOST): end for (url, _), end in outcomes(tmp_path / "theirs").items()} == {
        path: end for path, (_, end) in WEB.items()
    }
    assert outcomes(tmp_path / "ours") == outcomes(tmp_path / "theirs")
    same = ("caption", "sha256", "key", "width", "height", "original_width", "extra", "blur_boxes")
    for url, row in ours.items():
        assert {name: row[name] for name in same} == {name: theirs[url][name] for name in same}
        assert theirs[url]["original_bytes"] is None
        sizes = [Image.open(io.BytesIO(found["picture"])).size for found in (row, theirs[url])]
        assert sizes == [(256, 256)] * 2


def test_an_interpreter_without_img2dataset_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "terms.txt").write_text("cup\n")
    (tmp_path / "urls.csv").write_text("url,caption\nhttp://a.test/1.jpg,a cup\n")
    flags = ["--dataset", str(tmp_path / "d"), "--queries", str(tmp_path / "terms.txt")]
    flags += ["--table.paths", str(tmp_path / "urls.csv"), "--fetch.engine", "img2dataset"]
    assert pipeline.__main__.main(["build", "laptop", *flags]) == 2
    said = capsys.readouterr().err
    assert "has no img2dataset. Next: python -m pip install img2dataset==1.47.0 there, or" in said
    assert said.count("\n") == 1
    assert pipeline.__main__.main(["build", "laptop", *flags, "--fetch.img2dataset-python", "no-python"]) == 2
    assert "fetch.img2dataset-python: no-python cannot be run" in capsys.readouterr().err


def test_what_img2dataset_cannot_do_is_refused(tmp_path: Path) -> None:
    peer = Fetch(engine="img2dataset")
    folder = Sources(folder=Folder(paths=(str(tmp_path),)))
    with pytest.raises(ValueError, match="over HTTP alone: take openwit for source folder"):
        check_engine(BuildConfig(fetch=peer, sources=folder))
    hashed = Sources(table=Table(hash_column="h", hash_type="md5"))
    with pytest.raises(
        ValueError, match=r"hash-type must be sha256 with fetch.engine img2dataset, not 'md5'"
    ):
        check_engine(BuildConfig(fetch=peer, sources=hashed))
    (tmp_path / "list.txt").write_text("md5:" + "0" * 32)
    with pytest.raises(ValueError, match=r"holds md5 entries, and fetch\.engine"):
        check_engine(BuildConfig(fetch=replace(peer, do_not_fetch=str(tmp_path / "list.txt"))))


@pytest.mark.parametrize(
    ("stage", "words", "reason"),
    [
        ("fetch", "HTTP Error 403: Forbidden", "http_error"),
        ("fetch", "HTTP Error 429: Too Many Requests", "rate_limited"),
        (
            "fetch",
            "HTTP Error 302: The HTTP server returned a redirect error that would lead to an infinite loop.",
            "too_many_redirects",
        ),
        ("fetch", "<urlopen error [Errno -2] Name or service not known>", "name_not_resolved"),
        ("fetch", "<urlopen error [Errno -3] Temporary failure in name resolution>", "name_not_resolved"),
        ("fetch", "<urlopen error timed out>", "timeout"),
        ("fetch", "The read operation timed out", "timeout"),
        ("fetch", "<urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed>", "tls_failed"),
        ("fetch", "<urlopen error [Errno 111] Connection refused>", "connection_failed"),
        ("fetch", "IncompleteRead(10 bytes read, 90 more expected)", "answer_cut_short"),
        ("fetch", "unknown url type: 'htp://a'", "url_invalid"),
        ("fetch", "Use of image disallowed by X-Robots-Tag directive", "opted_out"),
        ("fetch", "hash mismatch", "hash_mismatch"),
        ("image", "Image decoding error", "image_corrupt"),
        ("image", "image area too large", "image_too_many_pixels"),
    ],
)
def test_its_words_are_our_reasons(stage: str, words: str, reason: str) -> None:
    assert drop_of_words(stage, words).reason == reason
    assert words[:20] in drop_of_words(stage, words).detail
