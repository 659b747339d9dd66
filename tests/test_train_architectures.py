"""What every architecture of the table must do, at its smallest size."""

import math

import pytest
import torch

from train.loss import clip_loss
from train.models import MODELS, model_from_json, model_to_json
from train.models.clip import Clip

each = pytest.mark.parametrize("name", sorted(MODELS))
NUM_PAIRS = 8


def make_batch(name: str) -> tuple[Clip, torch.Tensor, torch.Tensor]:
    """Return a fresh model with images (B, 3, S, S) and tokens (B, 4) whose pairs can be told apart."""
    torch.manual_seed(0)
    config = MODELS[name].tiny()
    words = torch.arange(1, NUM_PAIRS + 1)
    tokens = torch.stack([torch.full_like(words, 298), words, words, torch.full_like(words, 299)], dim=1)
    images = torch.randn(NUM_PAIRS, 3, config.image_side_px, config.image_side_px)
    return config.build(vocab_size=300), images, tokens


def loss_of(model: Clip, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return clip_loss(model.encode_image(images), model.encode_text(tokens), model.logit_scale.exp())


@each
def test_both_towers_give_features_of_one_width(name: str) -> None:
    model, images, tokens = make_batch(name)
    assert model.encode_image(images).shape == model.encode_text(tokens).shape
    assert len(model.encode_image(images)) == NUM_PAIRS


@each
def test_the_first_loss_is_that_of_guessing(name: str) -> None:
    model, images, tokens = make_batch(name)
    with torch.no_grad():
        model.logit_scale.zero_()
    assert loss_of(model, images, tokens).item() == pytest.approx(math.log(NUM_PAIRS), abs=0.3)


@each
def test_eight_pairs_are_learnt_by_heart(name: str) -> None:
    model, images, tokens = make_batch(name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = loss_of(model, images, tokens)
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.1


@each
def test_a_configuration_survives_its_json(name: str) -> None:
    config = MODELS[name].tiny()
    assert model_from_json(model_to_json(config)) == config
