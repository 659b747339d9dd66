"""`python -m train draw`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.command_line import parse
from manifests.places import Place
from manifests.store import write_bytes
from train.draw.ascent import Ascent, ascend
from train.draw.files import png_of, svg_of
from train.trained import load_trained

DRAW_USAGE = """\
Draw a prompt: strokes that a trained model finds it in, as an SVG and, beside it, a PNG.

  python -m train draw --run runs/demo/run --prompt "a red cup" --out runs/demo/cup.svg

It begins with random strokes and moves them by the gradient of the cosine, as CLIPDraw does; which shows what
the model looks for, and seldom a picture that people would call so.
"""
PNG_SIDE_PX = 448
_LIMITS = {
    "num_strokes": (1, 4096),
    "num_steps": (1, 100_000),
    "num_copies": (1, 256),
    "side_px": (16, 1024),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What is drawn by which model."""

    run: Path
    """The run whose newest checkpoint is asked."""
    prompt: str
    """What shall be seen in the drawing."""
    out: Place
    """FILE.svg; FILE.png is written beside it."""
    minus: tuple[str, ...] = ()
    """What shall not be seen in it: any number of prompts."""
    num_strokes: int = 64
    num_steps: int = 200
    seed: int = 0
    """Another one is another drawing; the same one, on the same CPU by as many threads, the same file."""
    num_copies: int = 8
    """Random views of the drawing that a step's gradient is the mean of."""
    side_px: int | None = None
    """Of the pixels that the gradient is taken of; None: those of the model's pictures."""

    def draw(self) -> str:
        """Write both files and return what became of the cosine. Raises ValueError for a wrong request."""
        self._check()
        ascent = Ascent(
            prompt=self.prompt,
            minus=self.minus,
            num_strokes=self.num_strokes,
            num_steps=self.num_steps,
            num_copies=self.num_copies,
            side_px=self.side_px,
            seed=self.seed,
        )
        drawing = ascend(load_trained(self.run), ascent)
        picture = self.out.with_suffix(".png")
        write_bytes(self.out, svg_of(drawing.strokes, self.prompt))
        write_bytes(picture, png_of(drawing.strokes, PNG_SIDE_PX))
        cosines = f"{drawing.before:.3f} before, {drawing.after:.3f} after"
        return f"cosine with {self.prompt!r}: {cosines}; drawing: {self.out}, {picture}"

    def _check(self) -> None:
        if not all(words.strip() for words in (self.prompt, *self.minus)):
            raise ValueError('a prompt is empty. Next: --prompt "a red cup"')
        if self.out.suffix.lower() != ".svg":
            raise ValueError(f"--out is {self.out}, must end in .svg. Next: --out drawing.svg")
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} is {value}, must be from {least} to {most}. Next: leave it out")


def run_draw(arguments: Sequence[str]) -> int:
    """Draw by the newest checkpoint of a run."""
    request = parse(Draw, prog="python -m train draw", description=DRAW_USAGE, arguments=arguments)
    print(request.draw())
    return 0
