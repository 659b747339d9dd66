"""Drawings by a model: soft pixels are as defined and near Pillow's, an ascent can be repeated."""

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.fakes import make_dataset
from tests.tiny_train import tiny_config
from train.__main__ import main
from train.draw.ascent import WIDTHS, Ascent, Drawing, ascend, prompt_cosine
from train.draw.files import png_of, svg_of
from train.draw.strokes import BLUR_PX, CANVAS, Strokes, polylines, random_strokes, soft_pixels
from train.draw.views import homography, random_views, through
from train.loop import fit
from train.trained import TrainedModel, load_trained

SIDE = 16
PAGE = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("draw")
    fit(tiny_config(), make_dataset(root / "data"), root / "run")
    return root / "run"


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainedModel:
    return load_trained(run)


def strokes_of(num_strokes: int, seed: int = 0) -> Strokes:
    return random_strokes(num_strokes, torch.Generator().manual_seed(seed))


def line(ys: float, width: float, colour: list[float]) -> Strokes:
    """A straight stroke from left to right."""
    points = torch.tensor([[[x * CANVAS, ys] for x in (0.2, 0.4, 0.6, 0.8)]])
    return Strokes(points=points, widths=torch.tensor([width]), colours=torch.tensor([colour]))


def drawn(trained: TrainedModel, **changes: object) -> Drawing:
    settings = {"prompt": "a red circle", "minus": (), "num_strokes": 6, "num_steps": 12, "num_copies": 2}
    return ascend(trained, Ascent(**({**settings, "side_px": None, "seed": 1} | changes)))  # type: ignore[arg-type]


def pixels(png: bytes) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(io.BytesIO(png))) / 255).permute(2, 0, 1)


def slow_pixel(strokes: Strokes, x: float, y: float) -> list[float]:
    """A pixel's colour, one stroke and one segment at a time."""
    colour, blur = np.ones(3), BLUR_PX * CANVAS / SIDE
    for places, width, (*rgb, opacity) in zip(polylines(strokes.points), *strokes.tensors()[1:], strict=True):
        distances = []
        for start, end in zip(places[:-1].numpy(), places[1:].numpy(), strict=True):
            many = start + np.linspace(0, 1, 1001)[:, None] * (end - start)
            distances.append(np.hypot(*(many - (x, y)).T).min())
        near, far = ((min(distances) + side * width.item() / 2) / blur for side in (1, -1))
        alpha = opacity.item() * (1 / (1 + np.exp(-near)) - 1 / (1 + np.exp(-far)))
        colour = (1 - alpha) * colour + alpha * np.array(rgb)
    return colour.tolist()


def test_a_soft_pixel_equals_a_slow_obvious_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.draw.strokes._MAX_ELEMENTS", SIDE**2 * 12 * 2)  # in bands of two
    strokes = strokes_of(5)
    image = soft_pixels(strokes, SIDE)
    for row, column in [(0, 0), (3, 9), (8, 8), (12, 5), (15, 15), *torch.randint(16, (20, 2)).tolist()]:
        at = ((column + 0.5) * CANVAS / SIDE, (row + 0.5) * CANVAS / SIDE)
        assert image[:, row, column].tolist() == pytest.approx(slow_pixel(strokes, *at), abs=1e-3)


@pytest.mark.parametrize("side_px", [32, 64])
def test_a_straight_stroke_equals_pillows_in_its_middle_and_far_from_it(side_px: int) -> None:
    strokes = line(CANVAS / 2, 60, [0.8, 0.2, 0.4, 0.75])
    soft, hard = soft_pixels(strokes, side_px), pixels(png_of(strokes, side_px))
    for row, column in [(0.5, 0.5), (0.45, 0.3), (0.55, 0.7), (0.1, 0.5), (0.9, 0.9)]:
        at = (int(row * side_px), int(column * side_px))
        assert soft[:, *at].tolist() == pytest.approx(hard[:, *at].tolist(), abs=0.01)


@pytest.mark.parametrize("width", [2.0, 7.0, 25.0])
def test_soft_and_hard_strokes_take_the_same_ink(width: float) -> None:
    strokes = line(CANVAS / 2 + 1.5, width, [0.0, 0.0, 0.0, 1.0])
    soft, hard = soft_pixels(strokes, 64), pixels(png_of(strokes, 64))
    ink = [(1 - image)[0, :, 32].sum().item() * CANVAS / 64 for image in (soft, hard)]
    assert ink == pytest.approx([width, width], abs=1.0)


def test_gradients_are_finite_also_of_a_stroke_that_is_a_dot_on_a_pixel() -> None:
    first = strokes_of(3)
    points, widths, colours = (tensor.clone() for tensor in first.tensors())
    points[1] = CANVAS / 2 + CANVAS / SIDE / 2
    strokes = Strokes(points=points.requires_grad_(), widths=widths.requires_grad_(), colours=colours)
    soft_pixels(strokes, SIDE).square().sum().backward()
    for tensor in (points, widths):
        assert tensor.grad is not None and tensor.grad.isfinite().all() and tensor.grad.abs().sum() > 0


def test_the_gradient_of_a_point_is_how_much_a_pixel_changes() -> None:
    strokes = strokes_of(3, seed=2)
    points = strokes.points.clone().requires_grad_()

    def brightness(points: Tensor) -> Tensor:
        return soft_pixels(Strokes(points=points, widths=strokes.widths, colours=strokes.colours), SIDE).sum()

    (gradient,) = torch.autograd.grad(brightness(points), points)
    moved = points.detach().clone()
    moved[1, 2, 0] += 0.05
    change = (brightness(moved) - brightness(points.detach())) / 0.05
    assert change.item() == pytest.approx(gradient[1, 2, 0].item(), rel=0.1, abs=1e-3)


def test_a_perspective_takes_its_corners_where_they_belong() -> None:
    starts, ends = torch.rand(4, 2), torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    assert torch.allclose(through(homography(starts, ends), starts), ends, atol=1e-4)


def test_views_of_white_are_white_and_of_one_seed_the_same() -> None:
    image = soft_pixels(strokes_of(4), SIDE)
    views = [random_views(image, 3, 8, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(views[0], views[1]) and not torch.equal(views[0], views[2])
    assert torch.equal(random_views(torch.ones(3, 16, 16), 2, 8, torch.Generator()), torch.ones(2, 3, 8, 8))


def test_an_ascent_raises_the_cosine_far_beyond_how_random_drawings_differ(trained: TrainedModel) -> None:
    by_chance = [prompt_cosine(trained, strokes_of(16, seed), "a red circle") for seed in range(8)]
    drawing = drawn(trained, num_strokes=16, num_steps=40)
    assert drawing.before == by_chance[1]
    assert drawing.after - drawing.before > 5 * (max(by_chance) - min(by_chance)) > 0
    widths, colours = drawing.strokes.tensors()[1:]
    assert WIDTHS[0] <= widths.min() <= widths.max() <= WIDTHS[1]
    assert 0 <= colours.min() <= colours.max() <= 1


def test_another_seed_and_another_minus_are_another_drawing(trained: TrainedModel) -> None:
    changes: list[dict[str, object]] = [{}, {}, {"seed": 2}, {"minus": ("a blue square",)}, {"side_px": 24}]
    files = [svg_of(drawn(trained, **each).strokes, "") for each in changes]
    assert files[0] == files[1] and len(set(files)) == 4


def test_an_svg_holds_any_title_and_the_strokes_in_their_order() -> None:
    strokes = strokes_of(3)
    root = ElementTree.fromstring(svg_of(strokes, 'cats & <b>"dogs"</b>\x00\udc80\x1b'))
    assert root.findtext(f"{PAGE}title") == 'cats & <b>"dogs"</b>   '
    found = [path.get("d", "").split()[1:3] for path in root.iter(f"{PAGE}path")]
    assert found == [[f"{x:.2f}", f"{y:.2f}"] for x, y in strokes.points[:, 0].tolist()]


def test_the_command_writes_both_files_and_says_the_cosines(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "drawing.svg"
    asked = ["--run", str(run), "--prompt", "a red circle", "--out", str(out), "--num-steps", "2"]
    assert main(["draw", *asked, "--num-strokes", "4", "--minus", "a blue square", "a cat"]) == 0
    assert capsys.readouterr().out.startswith("cosine with 'a red circle': ")
    assert len(list(ElementTree.parse(out).getroot().iter(f"{PAGE}path"))) == 4
    assert pixels(out.with_suffix(".png").read_bytes()).shape == (3, 448, 448)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--out", "drawing.png"], "must end in .svg"),
        (["--prompt", " "], "a prompt is empty"),
        (["--minus", ""], "a prompt is empty"),
        (["--num-strokes", "0"], "--num-strokes is 0, must be from 1 to 4096"),
        (["--num-steps", "0"], "--num-steps is 0"),
        (["--num-copies", "-1"], "--num-copies is -1"),
        (["--side-px", "4"], "--side-px is 4"),
        (["--seed", "-1"], "--seed is -1"),
        ([], "holds no checkpoint"),
    ],
)
def test_a_wrong_request_is_one_line(
    flags: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--run", str(tmp_path), "--prompt", "a cat", "--out", str(tmp_path / "drawing.svg")]
    assert main(["draw", *asked, *flags]) == 2
    errors = capsys.readouterr().err
    assert words in errors and errors.count("\n") == 1
