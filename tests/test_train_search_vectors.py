"""Vectors: exact search against numpy, approximate against exact, questions against their formula."""

import doctest
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny_search import make_part, make_parts, make_run, png, unit_vectors
from train.search import command, parts, unsafe
from train.search.approximate import Approximate, recall_of
from train.search.exact import search_all
from train.search.parts import Parts
from train.search.question import MINUS, Question, vector_of
from train.search.safe_pictures import BadPictureError, as_shown, for_model, upright
from train.trained import load_trained

NUM_ROWS = 3_000


def test_doctests_hold() -> None:
    for module in (parts, unsafe, command):
        assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("num", [1, 7, 200])
def test_exact_search_finds_what_numpy_sorts_first(tmp_path: Path, num: int) -> None:
    indexed, queries = make_parts(tmp_path, 3, 40, unsafe=True), unit_vectors(5, seed=9)
    features = np.concatenate([np.asarray(part.features, np.float32) for part in indexed.all])
    ids = np.concatenate([part.ids for part in indexed.all])
    for show_unsafe in (True, False):
        shown = np.array([show_unsafe or row % 5 != 0 for _ in indexed.all for row in range(40)])
        found = search_all(indexed, queries, num, show_unsafe=show_unsafe)
        for place, query in enumerate(queries):
            order = np.argsort(-(features[shown] @ query), kind="stable")[:num]
            got = found.ids[place][found.ids[place] >= 0]
            assert got.tolist() == ids[shown][order].tolist()


def test_an_index_of_nothing_finds_nothing(tmp_path: Path) -> None:
    empty = Parts((make_part(tmp_path, 0, unit_vectors(0)),))
    assert (search_all(empty, unit_vectors(2), 3, show_unsafe=False).ids == -1).all()


@pytest.fixture
def indexed(tmp_path: Path) -> Parts:
    pytest.importorskip("faiss", reason="needs faiss: pip install -e '.[search]'")
    return make_parts(tmp_path, 3, NUM_ROWS // 3, unsafe=True)


@pytest.mark.parametrize(("kind", "compress_from"), [("SQ8", NUM_ROWS + 1), ("SQ4", NUM_ROWS)])
def test_approximate_search_is_tuned_until_it_finds_nearly_all(
    indexed: Parts, kind: str, compress_from: int
) -> None:
    queries = unit_vectors(100, seed=9)
    true = search_all(indexed, queries, 10, show_unsafe=True)
    tuned = Approximate.of(indexed, 16, compress_from).tuned([(queries, true)])
    found = tuned.search(queries, 10, show_unsafe=True)
    assert tuned.setting.kind == kind
    assert recall_of(found, true) == pytest.approx(tuned.setting.recall_at_10, abs=1e-4)
    assert tuned.setting.recall_at_10 >= 0.97
    assert tuned.setting.num_probes < tuned.setting.num_cells
    same = found.ids == true.ids  # and its scores are true ones, not those of the codes
    np.testing.assert_allclose(found.scores[same], true.scores[same], atol=1e-5)


def test_approximate_search_hides_what_is_unsafe(indexed: Parts) -> None:
    queries = unit_vectors(20, seed=9)
    true = search_all(indexed, queries, 10, show_unsafe=True)
    tuned = Approximate.of(indexed, 16).tuned([(queries, true)])
    ids = tuned.search(queries, 10, show_unsafe=False).ids
    assert not np.isin(ids, indexed.unsafe_ids).any()
    assert np.isin(tuned.search(queries, 10, show_unsafe=True).ids, indexed.unsafe_ids).any()


def test_parts_are_put_into_an_approximate_index_and_taken_out(tmp_path: Path, indexed: Parts) -> None:
    new = make_part(tmp_path, 7, unit_vectors(50, seed=7))
    changed = Parts((*indexed.all[1:], new))
    queries = np.concatenate([unit_vectors(50, seed=7), unit_vectors(NUM_ROWS // 3, seed=0)[:50]])
    true = search_all(changed, queries, 10, show_unsafe=True)
    first = Approximate.of(indexed, 16)
    first.write(tmp_path / "a.faiss")
    read = Approximate.read(tmp_path / "a.faiss", vars(first.setting), indexed)
    ours = read.changed(changed).tuned([(queries, true)])
    found = ours.search(queries, 10, show_unsafe=True)
    assert ours.setting.parts == (1, 2, 7)
    assert set((found.ids >> 20).ravel().tolist()) <= {1, 2, 7}
    assert (found.ids[:50, 0] >> 20 == 7).all()
    assert recall_of(found, true) >= 0.97


def test_recall_counts_copies_of_the_last_one_as_found() -> None:
    from train.search.exact import Found

    true = Found(ids=np.array([[1, 2]]), scores=np.array([[0.9, 0.5]], np.float32))
    copy = Found(ids=np.array([[1, 3]]), scores=np.array([[0.9, 0.5]], np.float32))
    wrong = Found(ids=np.array([[1, 4]]), scores=np.array([[0.9, 0.4]], np.float32))
    assert (recall_of(copy, true), recall_of(wrong, true)) == (1.0, 0.5)


def test_words_a_picture_and_both_are_weighed_by_what_they_spread(tmp_path: Path) -> None:
    trained, sample = load_trained(make_run(tmp_path / "run")), unit_vectors(200)
    words = trained.text_features(["red"]).numpy()[0]
    like = unit_vectors(1, seed=5)[0]
    np.testing.assert_allclose(vector_of(Question(words="red"), trained, sample), words, atol=1e-5)
    np.testing.assert_allclose(vector_of(Question(like=like), trained, sample), like, atol=1e-5)
    both = vector_of(Question(words="red", like=like, picture_weight=0.25), trained, sample)
    sum_ = 0.75 * words / (sample @ words).std() + 0.25 * like / (sample @ like).std()
    np.testing.assert_allclose(both, sum_ / np.linalg.norm(sum_), atol=1e-5)


def test_unwanted_words_lose_what_the_wanted_ones_do_not_have(tmp_path: Path) -> None:
    trained, sample = load_trained(make_run(tmp_path / "run")), unit_vectors(200)
    wanted, unwanted = (trained.text_features([words]).numpy()[0] for words in ("a red car", "red"))
    found = vector_of(Question(words="a red car", minus="red"), trained, sample)
    expected = wanted - MINUS * (unwanted - (unwanted @ wanted) * wanted)
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    assert found @ unwanted < wanted @ unwanted
    assert np.isfinite(vector_of(Question(words="red", minus="red"), trained, sample)).all()


@pytest.mark.parametrize(
    "asked",
    [{}, {"words": " "}, {"minus": "red"}, {"words": "x" * 2_000}, {"words": "a", "picture_weight": 2}],
)
def test_what_is_no_question_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"Next|nothing is asked for"):
        Question(**asked)  # type: ignore[arg-type]


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = png(10, 10).replace((10).to_bytes(4) + (10).to_bytes(4), (60_000).to_bytes(4) * 2)
    for data in (bomb, b"", b"GIF89a", png(30, 30)[:50], b"<svg/>"):
        with pytest.raises(BadPictureError):
            for_model(data)


def test_a_photo_lying_on_its_side_is_turned_and_no_alpha_is_left() -> None:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
    assert upright(buffer.getvalue()).size == (20, 40)
    clear = io.BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(clear, "PNG")
    assert upright(clear.getvalue()).getpixel((1, 1)) == (255, 255, 255)


def test_small_pictures_are_shown_as_they_are_and_large_ones_smaller() -> None:
    small, large = png(40, 20), png(1_000, 500)
    assert as_shown(small, 100, 10_000) == (small, "image/png")
    data, kind = as_shown(large, 100, 10_000)
    assert (Image.open(io.BytesIO(data)).size, kind) == ((100, 50), "image/jpeg")
