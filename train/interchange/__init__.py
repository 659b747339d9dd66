"""Models in other people's formats, both ways and without a network."""

from collections.abc import Callable
from pathlib import Path

from train.checkpoint import PARTS
from train.interchange import huggingface, open_clip, openai
from train.interchange.portable import PortableModel

WRITERS: dict[str, Callable[[PortableModel, Path], None]] = {
    "openai": openai.write,
    "open_clip": open_clip.write,
    "huggingface": huggingface.write,
}


def read_model(place: Path, clip_vocab: Path | None = None) -> PortableModel:
    """Return the model of a run of ours, of a checkpoint file, or of a folder that open_clip or transformers
    reads; which of them it is is looked up in the folder.

    `clip_vocab` is CLIP's vocabulary file, for formats that do not bring it; without it, it is taken from an
    installed open_clip_torch. Raises ValueError for what is none of these, or no model that ours could be.
    """
    if (place / "checkpoints" / "latest").is_file() or place.suffix == PARTS:
        return openai.read_run(place)
    if (place / open_clip.CONFIG).is_file():
        return open_clip.read(place, clip_vocab)
    if (place / huggingface.CONFIG).is_file():
        return huggingface.read(place, clip_vocab)
    file = place / openai.WEIGHTS if (place / openai.WEIGHTS).is_file() else place
    return openai.read(file, clip_vocab)
