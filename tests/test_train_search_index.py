"""Indexes: what is in them is what is there, made once, found by looking at everything."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manifests.storage import remove_folder
from manifests.store import open_dataset
from tests.fakes import make_caption, make_dataset, make_picture, make_rejection
from tests.tiny_search import make_index, make_run, make_video, png
from train.__main__ import main
from train.search.build import Recipe, build_index
from train.search.command import IndexRequest, QueryRequest, line_of
from train.search.copies import copies_of
from train.search.question import Question
from train.search.searcher import Searcher
from train.search.video import frames_of
from train.trained import load_trained
from train.transforms import evaluation_pixels

NUM_PAIRS = 8


def keys_of(searcher: Searcher) -> list[str]:
    return [row["key"] for part in searcher.parts.all for row in part.rows()]


def found(searcher: Searcher, words: str, **options: bool) -> list[str]:
    hits = searcher.search(Question(words=words), 100, show_unsafe=options.get("show_unsafe", False))
    return [hit.row["key"] for hit in hits]


def test_a_dataset_is_searched_as_by_a_slow_loop_over_its_pictures(tmp_path: Path) -> None:
    searcher = make_index(tmp_path, make_dataset(tmp_path / "data", num_pairs=NUM_PAIRS))
    trained = load_trained(tmp_path / "run")
    words = trained.text_features(["a red square"])[0]
    pixels = [evaluation_pixels(make_picture(number), 16) for number in range(NUM_PAIRS)]
    cosines = [float(trained.image_features([each])[0] @ words) for each in pixels]
    hits = searcher.search(Question(words="a red square"), NUM_PAIRS, show_unsafe=False)
    order = np.argsort(-np.array(cosines), kind="stable")
    assert [hit.row["caption"] for hit in hits] == [make_caption(int(number)) for number in order]
    assert [hit.score for hit in hits] == pytest.approx([cosines[number] for number in order], abs=2e-3)


def test_a_picture_is_read_from_its_offset_in_the_tar(tmp_path: Path) -> None:
    searcher = make_index(tmp_path, make_dataset(tmp_path / "data", num_pairs=NUM_PAIRS))
    hits = searcher.search(Question(picture=make_picture(3)), NUM_PAIRS, show_unsafe=False)
    assert searcher.picture(hits[0]) == make_picture(3)
    assert hits[0].score == pytest.approx(1, abs=2e-3)


def test_a_second_time_nothing_is_made_anew_and_new_shards_alone_are_added(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", num_pairs=4)
    before = make_index(tmp_path, data)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "index/parts").rglob("*")}
    again = build_index(Recipe(run=None, data=(data,), out=tmp_path / "index"))
    assert (again.num_added, again.num_dropped) == (0, 0)
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "index/parts").rglob("*")}
    more = make_dataset(tmp_path / "data", num_pairs=12)
    grown = build_index(Recipe(run=None, data=(more,), out=tmp_path / "index"))
    assert (grown.num_added, grown.num_dropped) == (8, 0)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "run").symlink_to(tmp_path / "run")
    expected = make_index(fresh, more)
    assert found(Searcher.open(tmp_path / "index"), "blue") == found(expected, "blue")
    assert set(keys_of(before)) < set(keys_of(expected))


def test_shards_that_are_gone_are_dropped_and_their_numbers_never_used_again(tmp_path: Path) -> None:
    many = make_dataset(tmp_path / "many", num_pairs=12)
    few = make_dataset(tmp_path / "few", num_pairs=3)
    make_index(tmp_path, many)
    built = build_index(Recipe(run=None, data=(few,), out=tmp_path / "index"))
    assert (built.num_added, built.num_dropped) == (3, 12)
    assert built.index.parts == (3,)
    assert [folder.name for folder in (tmp_path / "index/parts").iterdir()] == ["000003"]


def test_an_index_that_was_cut_short_goes_on_with_what_is_whole(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", num_pairs=12)
    whole = make_index(tmp_path, data)
    expected = keys_of(whole)
    (tmp_path / "index/index.json").unlink()
    (tmp_path / "index/parts/000001/part.json").unlink()
    with pytest.raises(ValueError, match="is not indexed to its end"):
        Searcher.open(tmp_path / "index")
    built = build_index(Recipe(run=tmp_path / "run", data=(data,), out=tmp_path / "index"))
    assert built.num_added == 4
    assert keys_of(Searcher.open(tmp_path / "index")) == expected


def test_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", num_pairs=2)
    make_index(tmp_path, data)
    other = make_run(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match=r"was made by another model .* Next: leave out --run"):
        build_index(Recipe(run=other, data=(data,), out=tmp_path / "index"))


def test_an_index_needs_its_run_no_longer(tmp_path: Path) -> None:
    searcher = make_index(tmp_path, make_dataset(tmp_path / "data", num_pairs=4))
    expected = found(searcher, "green")
    remove_folder(tmp_path / "run")
    assert found(Searcher.open(tmp_path / "index"), "green") == expected


def test_pictures_that_cannot_be_read_are_counted_and_named(tmp_path: Path) -> None:
    pictures = [make_picture(0), make_picture(1)[:700], make_picture(2)]
    data = make_dataset(tmp_path / "data", num_pairs=3, pictures=pictures)
    built = build_index(Recipe(run=make_run(tmp_path / "run"), data=(data,), out=tmp_path / "index"))
    assert (built.index.num_pictures, built.index.num_bad) == (2, 1)
    [bad] = built.bad
    dataset = open_dataset(data)
    assert bad.startswith(dataset.read_index(dataset.manifest.shards[0])["key"][1].as_py())


def test_unsafe_rows_are_hidden_unless_asked_for(tmp_path: Path) -> None:
    scores = [("nsfw", 0.9)]
    unsafe = make_dataset(tmp_path / "unsafe", num_pairs=3, overrides={"scores": scores})
    fine = make_dataset(tmp_path / "fine", num_pairs=2, overrides={"scores": [("nsfw", 0.1)]})
    searcher = make_index(tmp_path, unsafe, fine)
    assert len(found(searcher, "red")) == 2
    assert len(found(searcher, "red", show_unsafe=True)) == 5
    hidden = int(searcher.parts.all[0].ids[0])
    assert searcher.hit(hidden, show_unsafe=False) is None
    assert searcher.hit(hidden, show_unsafe=True) is not None
    assert all(not hit.row["unsafe"] for hit in searcher.some(5, show_unsafe=False))


def test_a_folder_is_indexed_with_the_texts_beside_its_files(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    (photos / "a_red-thing.png").write_bytes(png(32, 20))
    (photos / "deep/b.jpg").write_bytes(make_picture(1))
    (photos / "deep/b.txt").write_text("a green square")
    (photos / "deep/broken.jpg").write_bytes(b"no picture")
    (photos / ".hidden.jpg").write_bytes(make_picture(2))
    (photos / "passwd.jpg").symlink_to("/etc/passwd")
    searcher = make_index(tmp_path, photos)
    rows = [row for part in searcher.parts.all for row in part.rows()]
    assert [(row["file"], row["caption"]) for row in rows] == [
        ("a_red-thing.png", "a red thing"),
        ("deep/b.jpg", "a green square"),
    ]
    assert searcher.picture(searcher.some(2, show_unsafe=False)[1]) == make_picture(1)


def test_a_file_that_was_added_changed_or_removed_is_noticed(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in "one", "two":
        (photos / name).mkdir(parents=True)
        (photos / name / "1.png").write_bytes(png(20, 20))
    make_index(tmp_path, photos)
    (photos / "two/2.png").write_bytes(png(20, 20, "blue"))
    added = build_index(Recipe(run=None, data=(photos,), out=tmp_path / "index"))
    assert (added.num_added, added.num_dropped) == (2, 1)  # the other folder's part stayed
    (photos / "two/1.png").unlink()
    (photos / "two/2.png").unlink()
    gone = build_index(Recipe(run=None, data=(photos,), out=tmp_path / "index"))
    assert (gone.num_added, gone.num_dropped, gone.index.num_pictures) == (0, 2, 1)


def test_a_link_that_took_a_files_place_is_not_followed(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.png").write_bytes(png(20, 20))
    searcher = make_index(tmp_path, photos)
    [hit] = searcher.some(1, show_unsafe=False)
    (photos / "1.png").unlink()
    (photos / "1.png").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="a link stands where"):
        searcher.picture(hit)


def test_plain_tars_tell_what_their_records_say(tmp_path: Path) -> None:
    facts = {"url": "https://host.example/1.jpg", "licence": "CC0", "NSFW": "NSFW"}
    members = {"1.jpg": make_picture(1), "1.txt": b"one", "1.json": json.dumps(facts).encode()}
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars/0.tar", "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    searcher = make_index(tmp_path, tmp_path / "tars")
    [row] = searcher.parts.all[0].rows()
    assert (row["caption"], row["url"], row["licence"], row["unsafe"]) == ("one", facts["url"], "CC0", True)
    assert found(searcher, "one") == []


def test_records_of_strangers_are_texts_or_nothing(tmp_path: Path) -> None:
    records = [b'{"url": {"a": 1}, "licence": 5, "extra_captions": "x", "author": "%s"}' % (b"y" * 9_000)]
    records += [b"[" * 100_000, b'{"url": "u', b'"text"', b'{"nsfw": ' + b"[" * 50_000]
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars/0.tar", "w") as tar:
        for number, record in enumerate(records):
            for kind, data in {"jpg": make_picture(number), "txt": b"some", "json": record}.items():
                member = tarfile.TarInfo(f"{number}.{kind}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    rows = make_index(tmp_path, tmp_path / "tars").parts.all[0].rows()
    assert len(rows) == 5
    assert [rows[0][name] for name in ("url", "licence", "extra_captions")] == [None] * 3
    assert len(rows[0]["author"]) == 2_000


def test_a_file_name_may_be_any_bytes(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / os.fsdecode(b"photos/\xff\n\x1b[2J.png")).write_bytes(png(20, 20))
    searcher = make_index(tmp_path, tmp_path / "photos")
    [hit] = searcher.search(Question(words="x"), 5, show_unsafe=False)
    assert searcher.picture(hit) == png(20, 20)
    assert line_of(hit).isprintable()
    json.dumps(hit.as_json()).encode()


def test_videos_are_indexed_as_pictures_with_times(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install -e '.[video]'")
    clips = tmp_path / "clips"
    clips.mkdir()
    make_video(clips / "colours.mp4", ["red", "lime", "blue"], seconds_each=2)
    (clips / "still.png").write_bytes(png(40, 40, "lime"))
    (clips / "broken.mp4").write_bytes(b"no video" * 100)
    searcher = make_index(tmp_path, clips, every_s=1.5)
    rows = [row for part in searcher.parts.all for row in part.rows()]
    assert [row.get("time_s") for row in rows] == [None, 0.0, 1.5, 3.0, 4.5]
    hits = searcher.search(Question(picture=png(64, 48, "blue")), 1, show_unsafe=False)
    assert (hits[0].row["file"], hits[0].row["time_s"]) == ("colours.mp4", 4.5)
    assert searcher.picture(hits[0]).startswith(b"\xff\xd8")
    assert sum(part.made.num_bad for part in searcher.parts.all) == 1


def test_frames_are_upright_and_large_steps_are_sought(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs PyAV: pip install -e '.[video]'")
    picture = Image.new("RGB", (64, 48), "red")
    picture.paste("blue", (32, 0, 64, 48))  # right, which is above once it is turned against the clock
    with av.open(str(tmp_path / "turned.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=2)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90)
        for _ in range(40):
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    frames = list(frames_of(tmp_path / "turned.mp4", 7.0))
    assert [frame.time_s for frame in frames] == [0.0, 7.0, 14.0]
    assert {(frame.width, frame.height) for frame in frames} == {(48, 64)}
    above = np.asarray(Image.open(io.BytesIO(frames[2].pixels)))[8, 24]
    assert above[2] > 200 > 60 > above[0]


def test_a_playlist_that_names_other_files_is_no_video(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install -e '.[video]'")
    clips = tmp_path / "clips"
    clips.mkdir()
    secret = make_video(tmp_path / "secret.mp4", ["red"])
    (clips / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    (clips / "cat.mkv").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    (clips / "still.png").write_bytes(png(40, 40))
    searcher = make_index(tmp_path, clips)
    assert [row["file"] for part in searcher.parts.all for row in part.rows()] == ["still.png"]


def test_copies_that_were_dropped_are_found_by_the_key_that_was_kept(tmp_path: Path) -> None:
    rejections = [make_rejection("near_duplicate", stage="dedup", kept_key="ab", url=f"u{n}") for n in (1, 2)]
    data = make_dataset(tmp_path / "data", num_pairs=2, rejections=[*rejections, make_rejection("too_small")])
    make_index(tmp_path, data)
    copies = copies_of(tmp_path / "index", str(data.resolve()), "ab")
    assert [copy["url"] for copy in copies] == ["u1", "u2"]
    assert copies_of(tmp_path / "index", str(data.resolve()), "cd") == []


def test_an_approximate_index_grows_and_shrinks_with_its_parts(tmp_path: Path) -> None:
    pytest.importorskip("faiss", reason="needs faiss: pip install -e '.[search]'")
    data = make_dataset(tmp_path / "data", num_pairs=40, pairs_per_shard=20)
    make_index(tmp_path, data, approximate_from=10)
    for num_pairs in (60, 60, 50):  # more, the same, fewer
        make_dataset(data, num_pairs=num_pairs, pairs_per_shard=20)
        searcher = make_index(tmp_path, data, approximate_from=10)
        exact = Searcher.open(tmp_path / "index", exact=True)
        [file] = (tmp_path / "index").glob("approximate-*.faiss")
        stamp = file.stat().st_mtime_ns
        picture = Question(picture=make_picture(num_pairs - 1))
        hits, true = (each.search(picture, 1, show_unsafe=False) for each in (searcher, exact))
        assert hits[0].score == pytest.approx(true[0].score, abs=1e-5)  # there are copies
    make_index(tmp_path, data, approximate_from=10)
    assert file.stat().st_mtime_ns == stamp  # nothing has changed
    make_index(tmp_path, data, approximate_from=0)
    assert list((tmp_path / "index").glob("approximate-*.faiss")) == []


def test_the_command_line_indexes_and_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions = [f"shape {number}\x1b[2J" for number in range(6)]
    data = make_dataset(tmp_path / "data", num_pairs=6, captions=captions)
    index = ["search", "index", "--run", str(make_run(tmp_path / "run")), "--data", str(data)]
    assert main([*index, "--out", str(tmp_path / "index")]) == 0
    assert capsys.readouterr().out.startswith("6 pictures indexed (6 added, 0 dropped); exact search. Next: ")
    (tmp_path / "asked.jpg").write_bytes(make_picture(4))
    query = ["search", "query", str(tmp_path / "index"), "--image", str(tmp_path / "asked.jpg")]
    assert main([*query, "--num", "2", "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["caption"], first["url"]) == (captions[4], "https://host1.example/pictures/4.jpg")
    assert first["score"] >= second["score"]
    assert main([*query, "--num", "1", "--minus", "red"]) == 0
    assert "\x1b" not in capsys.readouterr().out  # what a caption would do to a terminal


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (["search", "find"], "unknown command search 'find', known: index, query, serve"),
        (["search", "query", "nowhere", "red"], "nowhere holds no index. Next: "),
        (["search", "query", "nowhere"], "nothing is asked for"),
        (
            ["search", "index", "--data", "nowhere", "--out", "out"],
            "out holds no index yet. Next: say with --run",
        ),
        (["search", "serve", "nowhere"], "nowhere holds no index. Next: "),
    ],
)
def test_wrong_requests_end_with_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: list[str],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(wrong) == 2
    assert capsys.readouterr().err.startswith(f"error: {line}")


def test_flags_that_cannot_be_are_refused(tmp_path: Path) -> None:
    place: dict[str, Any] = {"data": (tmp_path,), "out": tmp_path}
    for wrong in ({"data": ()}, {"every_s": 0.0}, {"batch_size": 0}, {"approximate_from": -1}):
        with pytest.raises(ValueError, match=r"Next: "):
            IndexRequest(**place | wrong)
    for asked in ({"num": 0}, {"image": tmp_path / "none.jpg"}):
        with pytest.raises(ValueError, match=r"Next: "):
            QueryRequest(index=tmp_path, **asked)


def test_a_place_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no file that can be indexed"):
        make_index(tmp_path, tmp_path / "empty")
