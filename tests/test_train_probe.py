from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tests.fakes import COLOURS, make_dataset, make_picture
from tests.published_trees import dtd, voc2007
from tests.tiny_train import tiny_config
from train.__main__ import main
from train.evals.few_shot import FewShot, drawn, worth
from train.evals.lbfgs import minimise
from train.evals.logistic import Logistic
from train.evals.metrics import Metric, pack_label
from train.evals.one_vs_rest import OneVsRest
from train.evals.probe import Probe, probe
from train.evals.splits import Split, Splits, draw, in_validation
from train.evals.strengths import NUM_STEPS, STRENGTHS, best, search
from train.loop import fit
from train.trained import TrainedModel, load_trained

CPU = torch.device("cpu")
Labels = NDArray[np.int64]


def blobs(num: int, num_classes: int, width: int = 8, seed: int = 0) -> tuple[NDArray[np.float64], Labels]:
    """Return pictures' features as models give them: axes of very different lengths, far from the origin."""
    random = np.random.default_rng(seed)
    turn = np.random.default_rng(99).normal(size=(width, width))
    labels = np.arange(num) % num_classes
    centres = np.random.default_rng(98).normal(size=(num_classes, width))
    features = (centres[labels] + 1.5 * random.normal(size=(num, width))) * np.logspace(0, -1, width)
    return features @ turn + 5, labels


def split(features: NDArray[np.float64], labels: Labels) -> Split:
    keys = tuple(f"{number}.jpg" for number in range(len(labels)))
    return Split(features=features.astype(np.float32), labels=labels, keys=keys)


def sklearns(strength: float, part: Split) -> LogisticRegression:
    features = part.features.astype(np.float64)
    # The same optimum as L-BFGS's, reached to the last digits in few iterations.
    return LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-8).fit(features, part.labels)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_classifiers_are_scikit_learns_of_the_same_strength(num_classes: int) -> None:
    features, labels = blobs(400, num_classes)
    unseen, truth = blobs(10_000, num_classes, seed=1)
    strengths = [1e-2, 1.0, 1e2, 1e6]
    found = Logistic(features, labels, num_classes).fit(strengths)
    for number, strength in enumerate(strengths):
        theirs = sklearns(strength, split(features, labels))
        ours = torch.softmax(torch.tensor(found.scores(unseen, number)), dim=1).numpy()
        assert np.abs(ours - theirs.predict_proba(unseen)).max() < 0.01
        assert abs(found.accuracies(unseen, truth)[number] - theirs.score(unseen, truth)) <= 0.001


def test_weights_are_where_the_loss_has_no_slope() -> None:
    features, labels = blobs(300, 4)
    found = Logistic(features, labels, 4).fit([0.5])
    weights, biases = found.weights.clone().requires_grad_(), found.biases.clone().requires_grad_()
    logits = torch.tensor(features) @ weights[0].t() + biases[0]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="sum")
    (loss + 0.25 * weights.square().sum()).backward()
    assert weights.grad is not None
    assert biases.grad is not None
    assert biases.grad.abs().max() < 0.05
    assert (weights.grad.abs().max() / torch.tensor(features).abs().max()) < 0.05


def test_many_strengths_at_once_are_each_alone() -> None:
    features, labels = blobs(200, 3)
    problem = Logistic(features, labels, 3)
    strengths = [1e-6, 1e-2, 1.0, 1e4]
    together = problem.fit(strengths)
    for number, strength in enumerate(strengths):
        alone = problem.fit([strength])
        assert torch.allclose(together.weights[number], alone.weights[0], rtol=1e-6, atol=1e-9)


def test_single_precision_sorts_as_double_does() -> None:
    features, labels = blobs(400, 5)
    unseen, truth = blobs(1000, 5, seed=1)
    single = Logistic(features.astype(np.float32), labels, 5).fit([1e-4, 1.0, 1e3])
    double = Logistic(features, labels, 5).fit([1e-4, 1.0, 1e3])
    assert single.weights.dtype == torch.float32
    ours, theirs = single.accuracies(unseen, truth), double.accuracies(unseen, truth)
    assert np.abs(np.subtract(ours, theirs)).max() <= 0.001


def test_fewer_pictures_than_numbers_in_a_feature_are_enough() -> None:
    features, labels = blobs(10, 5, width=40)
    found = Logistic(features, labels, 5).fit([1e-6, 1.0])
    assert all(found.converged)
    assert found.accuracies(features, labels)[0] == 1


def test_a_class_without_training_pictures_is_never_predicted() -> None:
    features, labels = blobs(100, 3)
    some = labels != 1
    found = Logistic(features[some], labels[some], 3).fit([1.0])
    assert set(found.scores(features).argmax(axis=1)) == {0, 2}
    theirs = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(features[some], labels[some])
    assert (found.scores(features).argmax(axis=1) == theirs.predict(features)).mean() > 0.98


def test_features_that_say_nothing_give_the_larger_class() -> None:
    found = Logistic(np.ones((5, 3)), np.array([0, 1, 1, 1, 0]), 2).fit([1.0])
    assert found.converged == (True,)
    odds = found.scores(np.ones((1, 3)))[0]
    assert odds[1] - odds[0] == pytest.approx(np.log(3 / 2), abs=0.01)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.array([[1.0], [np.nan]]), [0, 1], "features: 1 of 2 rows hold NaN"),
        (np.array([[1.0], [2.0]]), [0, 2], "label 2 is none of the 2 classes"),
        (np.array([[1.0], [2.0]]), [1, 1], "all pictures are of class 1"),
        (np.array([[1.0]]), [1], "all pictures are of class 1"),
        (np.empty((0, 3)), [], "at least one"),
        (np.array([[1.0]]), [0, 1], "need one row each"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    features: NDArray[np.float64], labels: Sequence[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Logistic(features, np.array(labels, np.int64), 2)


def test_lbfgs_finds_the_minima_of_quadratics_and_of_a_curved_valley() -> None:
    centres = torch.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=torch.float64)
    steep = torch.tensor([1.0, 400.0], dtype=torch.float64)

    def values(x: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = x - centres[numbers]
        return (steep * (away**2 + 0.1 * away**4)).sum(dim=1), steep * (2 * away + 0.4 * away**3)

    start, ones = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)
    found = minimise(values, start, ones, max_iterations=100, tolerance=1e-16)
    assert torch.allclose(found.points, centres, atol=1e-5)
    assert bool(found.converged.all())
    cut = minimise(values, start, ones, max_iterations=1, tolerance=1e-16)
    assert not bool(cut.converged.any())


def test_there_are_96_steps_of_which_8_are_a_decade() -> None:
    assert (STRENGTHS[0], STRENGTHS[-1], len(STRENGTHS) - 1) == (1e-6, 1e6, 96)
    assert np.allclose(np.diff(np.log10(STRENGTHS)), 1 / 8)


def test_the_search_begins_with_seven_and_halves_around_the_peak() -> None:
    asked: list[list[int]] = []

    def values(places: Sequence[int]) -> list[float]:
        asked.append([round(8 * np.log10(STRENGTHS[place])) for place in places])
        return [-abs(place - 67) for place in places]

    assert best(search(values)) == 67
    assert asked[0] == [-48, -32, -16, 0, 16, 32, 48]  # 1e-6, 1e-4 to 1e6
    assert asked[1:] == [[8, 24], [12, 20], [18, 22], [19, 21]]


@pytest.mark.parametrize("peak", [0, 1, 15, 16, 40, 48, 71, 95, NUM_STEPS])
def test_the_search_finds_any_single_peak(peak: int) -> None:
    visited = search(lambda places: [-abs(place - peak) for place in places])
    assert best(visited) == peak
    assert len(visited) <= 7 + 2 * 4


def test_of_equal_values_the_strongest_regularisation_is_taken() -> None:
    assert best(search(lambda places: [1.0] * len(places))) == NUM_STEPS


def test_a_probe_is_the_papers_procedure_by_scikit_learn() -> None:
    parts = [split(*blobs(num, 4, seed=seed)) for seed, num in enumerate((300, 100, 500))]
    splits = Splits(
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        class_names=("a", "b", "c", "d"),
        metric=Metric.ACCURACY,
        bad_pictures=(),
        validation_is_of_train=False,
    )
    found = probe(splits, CPU)
    for text, value in found.validation.items():
        theirs = sklearns(float(text), parts[0])
        assert abs(value - theirs.score(parts[1].features, parts[1].labels)) <= 0.0101  # one picture
    both = parts[0] + parts[1]
    last = sklearns(found.strength, both)
    assert abs(found.value - last.score(parts[2].features, parts[2].labels)) <= 0.0021
    assert found.validation[f"{found.strength:.6g}"] == max(found.validation.values())


def test_several_classes_a_picture_are_each_told_from_the_rest() -> None:
    features, labels = blobs(300, 3)
    shown = np.stack([labels == 0, labels != 2, np.zeros(300, bool)], axis=1)  # the last is never shown
    ignored = np.arange(300) < 20
    packed = [
        pack_label(np.flatnonzero(row).tolist(), [0] if out else [], 3)
        for row, out in zip(shown, ignored, strict=True)
    ]
    found = OneVsRest(features, np.array(packed), 3, CPU).fit([1.0, 10.0])
    for number, strength in enumerate([1.0, 10.0]):
        scores = found.scores(features, number)
        for place, rows in ((0, ~ignored), (1, ignored | True)):
            part = split(features[rows], shown[rows, place].astype(np.int64))
            assert (
                np.abs(scores[:, place] - sklearns(strength, part).decision_function(features)).max() < 0.02
            )
        assert not scores[:, 2].any()
    assert all(found.converged)
    assert max(found.num_iterations) < 100
    with pytest.raises(ValueError, match="no class is shown by some"):
        OneVsRest(features, np.zeros(300, np.int64), 3, CPU)


def test_validation_pictures_are_the_same_wherever_the_pictures_lie() -> None:
    keys = [f"/one/place/cat/{number}.jpg" for number in range(5000)]
    moved = [key.replace("/one/place", "s3://bucket") for key in keys]
    assert np.array_equal(in_validation(keys), in_validation(moved))
    assert abs(in_validation(keys).mean() - 0.2) < 0.02
    assert draw(0, keys[0]) != draw(1, keys[0])


def test_few_of_a_seed_are_among_its_more_and_never_held_out() -> None:
    pool = split(*blobs(60, 3))
    few, _ = drawn(pool, 2, seed=0)
    more, held = drawn(pool, 8, seed=0)
    assert (len(few), len(more), len(held)) == (6, 24, 12)
    assert set(few) < set(more)
    assert not set(more) & set(held)
    assert set(np.bincount(pool.labels[more])) == {8}
    assert not np.array_equal(more, drawn(pool, 8, seed=1)[0])


@pytest.mark.parametrize(
    ("zero_shot", "expected"),
    [(0.4, 1), (0.6, 2), (0.8, 4), (0.85, 8), (0.9, 16), (0.2, 0.5), (0.95, None)],
)
def test_zero_shot_is_worth_what_the_line_through_the_curve_says(
    zero_shot: float, expected: float | None
) -> None:
    assert worth(zero_shot, [(1, 0.4), (4, 0.8), (16, 0.9)]) == pytest.approx(expected)


def test_zero_shot_below_a_curve_that_falls_is_worth_its_first_point() -> None:
    assert worth(0.1, [(1, 0.5), (4, 0.4)]) == 1
    assert worth(0.1, [(3, 0.5)]) == 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("probe")
    return fit(tiny_config(num_epochs=1), make_dataset(root / "data"), root / "run")


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainedModel:
    return load_trained(run)


def make_folders(root: Path, num_each: int, first: int = 0) -> Path:
    for number in range(first, first + num_each * len(COLOURS)):
        folder = root / COLOURS[number % len(COLOURS)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(make_picture(number, side_px=40 + number % 7))
    return root


def test_eval_probe_and_few_shot_from_the_command_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(make_folders(tmp_path / "train", 6))]
    data += ["--test-data", str(make_folders(tmp_path / "test", 3, first=100)), "--run", str(run)]
    assert main(["eval", "probe", *data, "--name", "colours"]) == 0
    assert "colours: linear probe, accuracy" in capsys.readouterr().out
    options = ["--name", "colours", "--shots", "1", "64", "--num-seeds", "2"]
    assert main(["eval", "few_shot", *data, *options]) == 0
    assert "pictures per class and accuracy: 0: " in capsys.readouterr().out
    assert {"probe-colours.json", "few_shot-colours.json"} <= {
        path.name for path in (run / "evals").iterdir()
    }


def test_a_probe_tests_classes_by_their_names_and_counts_bad_pictures(
    trained: TrainedModel, tmp_path: Path
) -> None:
    train, test = make_folders(tmp_path / "train", 6), make_folders(tmp_path / "test", 2)
    for path in (test / "blue").iterdir():
        path.unlink()
    (test / "blue").rmdir()  # the numbers of the classes after it are others in this folder
    (test / "red" / "0.jpg").write_bytes(b"no picture")
    found = Probe(run=tmp_path / "run", data=train, test_data=test, name="n").evaluate(trained)
    assert found["folds"][0]["num_test"] == 2 * 7 - 1
    assert found["value"] > 0.5
    assert [bad.partition(": ")[0] for bad in found["bad_pictures"]] == [str(test / "red" / "0.jpg")]
    (test / "mauve").mkdir()
    with pytest.raises(ValueError, match="the test pictures show 'mauve', which is no class of training"):
        Probe(run=tmp_path / "run", data=train, test_data=test, name="n").evaluate(trained)


def test_datasets_of_the_paper_bring_their_splits_folds_and_metrics(
    trained: TrainedModel, tmp_path: Path
) -> None:
    dtd(tmp_path / "dtd")
    voc2007(tmp_path / "voc2007")
    requests = {
        name: Probe(run=tmp_path / "run", data=tmp_path / name, dataset=name, name=name)
        for name in ("dtd", "stl10", "voc2007")
    }
    found = requests["dtd"].evaluate(trained)
    assert (found["validation_is_of_train"], len(found["folds"])) == (False, 1)
    assert requests["stl10"].folds() == list(range(1, 11))
    assert requests["voc2007"].splits(trained).metric is Metric.MAP_11
    few = FewShot(run=tmp_path / "run", data=tmp_path / "voc2007", dataset="voc2007", name="voc2007")
    with pytest.raises(ValueError, match="a picture shows several classes"):
        few.evaluate(trained)


def test_few_shot_has_a_point_for_each_number_that_the_classes_hold(
    trained: TrainedModel, tmp_path: Path
) -> None:
    request = FewShot(
        run=tmp_path / "run",
        data=make_folders(tmp_path / "train", 5),
        test_data=make_folders(tmp_path / "test", 2, first=200),
        name="n",
        shots=(1, 4, 5),
        num_seeds=3,
    )
    found = request.evaluate(trained)
    assert [(point["shots"], len(point["values"])) for point in found["curve"]] == [(1, 3), (4, 3)]
    assert found["left_out"] == {"5": 5}
    assert found["all_pictures"]["per_class"] == 5
    for point in found["curve"]:
        low, high = point["interval"]
        assert low <= point["value"] <= high
        assert point["value"] == pytest.approx(np.mean(point["values"]))


def test_requests_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    place = {"run": tmp_path, "data": tmp_path, "name": "n"}
    with pytest.raises(ValueError, match="nothing to test on"):
        Probe(**place)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="--dataset has its own splits"):
        Probe(**place, dataset="cifar10", test_data=tmp_path)  # type: ignore[arg-type]
    for shots in ((), (0, 1), (4, 2), (2, 2)):
        with pytest.raises(ValueError, match="shots are"):
            FewShot(**place, test_data=tmp_path, shots=shots)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_seeds is 0"):
        FewShot(**place, test_data=tmp_path, num_seeds=0)  # type: ignore[arg-type]
