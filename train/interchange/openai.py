"""OpenAI's form: one file of weights, which `clip.load` reads, and whatever else has its names; and our runs.

The file says nothing of heads (they are 64 wide) nor of the tokenizer (it is CLIP's).
"""

from pathlib import Path

import torch

from manifests.storage import written_whole
from train.checkpoint import PARTS, load_checkpoint, read_checkpoint
from train.interchange.portable import PortableModel
from train.interchange.tokenizer_files import read_tokenizer
from train.models import model_from_json
from train.models.openai import clean_state, config_of, fitted
from train.tokenizer import ClipTokenizer, load_tokenizer
from train.weights import read_weights

WEIGHTS = "clip.pt"


def write(model: PortableModel, folder: Path) -> None:
    """Write FOLDER/clip.pt, a state dict in float32. Raises ValueError for a model that it cannot say."""
    head_width = vars(model.config)["head_width"]
    if head_width != 64:
        raise ValueError(
            f"heads are {head_width} wide, OpenAI's format knows 64 alone. Next: --format open_clip"
        )
    if not isinstance(model.tokenizer, ClipTokenizer):
        raise ValueError("the vocabulary is the dataset's own, OpenAI's is CLIP's. Next: --format open_clip")
    # Through a file object: of a path, torch writes the name into the file.
    with written_whole(folder / WEIGHTS) as temporary, temporary.open("wb") as file:
        torch.save(model.state, file)


def read(path: Path, clip_vocab: Path | None) -> PortableModel:
    """Return the model of a file with OpenAI's names: a TorchScript archive, a state dict or safetensors."""
    state = clean_state(read_weights(path))
    try:
        config = config_of(state)
        return PortableModel(
            config=config,
            state=fitted(state, config),
            tokenizer=read_tokenizer(path.parent, clip_vocab, len(state["token_embedding.weight"])),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_run(run: Path) -> PortableModel:
    """Return the newest checkpoint of a run of ours, or the one in the folder of its parts."""
    checkpoint = read_checkpoint(run) if run.suffix == PARTS else load_checkpoint(run)
    assert checkpoint is not None, run
    config = model_from_json(checkpoint.config["model"])
    return PortableModel(
        config=config,
        state=fitted(checkpoint.weights(), config),
        tokenizer=load_tokenizer(checkpoint.tokenizer_kind, checkpoint.tokenizer_state),
    )
