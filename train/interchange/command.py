"""`python -m train export` and `import`: a model out of any form that is known, into another."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from manifests.places import Place
from train.checkpoint import Checkpoint, newest_checkpoint
from train.checkpoint_writer import save_checkpoint
from train.config import ModelConfig
from train.interchange import WRITERS, read_model
from train.interchange.portable import PortableModel, write_json
from train.models import model_to_json
from train.models.openai import fitted

EXPORT_USAGE = """\
Write a model as others read it.

  python -m train export runs/demo/run --format open_clip --out runs/demo/open_clip

openai: clip.pt, which clip.load reads. open_clip: a folder for its "local-dir:". huggingface: a folder for
transformers' CLIPModel and CLIPProcessor. Another --image-side-px interpolates the positions.
"""

IMPORT_USAGE = """\
Make a run of somebody else's model, so that eval, score and export take it. No code of the file is run.
A file's model is taken to have QuickGELU and CLIP's colours, as OpenAI's have; folders say it, and others are
refused.

  python -m train import ViT-B-32.pt --run runs/openai --clip-vocab bpe_simple_vocab_16e6.txt.gz
"""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a model as others read it; it may be a run, a checkpoint file or an exported folder."""

    model: tyro.conf.Positional[Place]  # a run, FILE.pt, FILE.safetensors or an exported folder
    format: Literal["openai", "open_clip", "huggingface"]
    out: Place  # a folder, which is made
    image_side_px: int | None = None  # another resolution: the positions are interpolated
    clip_vocab: Path | None = None  # bpe_simple_vocab_16e6.txt.gz, for a model that does not bring it

    def export(self) -> PortableModel:
        """Write the files and return what is in them. Raises ValueError for what the format cannot say."""
        model = _at_side(read_model(self.model, self.clip_vocab), self.image_side_px)
        WRITERS[self.format](model, self.out)
        return model


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make a run of somebody else's model, so that `eval`, `score` and `export` take it."""

    model: tyro.conf.Positional[Place]  # FILE.pt, FILE.safetensors, open_clip's or transformers' folder
    run: Place  # a run that does not exist yet
    image_side_px: int | None = None  # another resolution: the positions are interpolated
    clip_vocab: Path | None = None  # bpe_simple_vocab_16e6.txt.gz, for a model that does not bring it

    def import_(self) -> PortableModel:
        """Write the run's config and its checkpoint of step 0. Raises ValueError where one is already."""
        if newest_checkpoint(self.run) is not None:
            raise ValueError(f"{self.run} is a run already. Next: pass another --run")
        model = _at_side(read_model(self.model, self.clip_vocab), self.image_side_px)
        config = {"recipe": "imported", "model": model_to_json(model.config), "from": str(self.model)}
        write_json(self.run / "config.json", config)
        checkpoint = Checkpoint(
            step=0,
            config=config,
            tokenizer_kind=model.tokenizer.kind,
            tokenizer_state=model.tokenizer.state(),
            model=model.state,
            optimizer={},
            rng_state=torch.get_rng_state(),
        )
        save_checkpoint(self.run, checkpoint, num_kept=1)
        return model


def describe(model: PortableModel) -> str:
    """Return what a model is in a few words."""
    num_parameters = sum(model.state[name].numel() for name in model.state if "running_" not in name)
    num_parameters -= sum(name.endswith("num_batches_tracked") for name in model.state)
    return (
        f"{type(model.config).__name__} of {num_parameters:,} parameters for {model.config.image_side_px} px"
    )


def _at_side(model: PortableModel, side_px: int | None) -> PortableModel:
    if side_px is None:
        return model
    config: ModelConfig = replace(model.config, image_side_px=side_px)
    return replace(model, config=config, state=fitted(model.state, config))
