import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.clip_peers import NUM_PARAMETERS
from tests.tiny_train import TINY_MODEL
from train.config import ModelConfig
from train.loss import clip_loss
from train.models import MODELS, model_from_json, model_to_json
from train.models.paper import PAPER_MODELS
from train.models.resnet import Bottleneck, ClipResNet
from train.models.transformer import Attention, quick_gelu
from train.recipes import RECIPES

PAPER_RECIPES = [
    "rn50",
    "rn101",
    "rn50x4",
    "rn50x16",
    "rn50x64",
    "vit_b_32",
    "vit_b_16",
    "vit_l_14",
    "vit_l_14_336",
]
TINY_RESNET = ClipResNet(
    image_side_px=64,
    context_length=16,
    embed_dim=16,
    vision_width=4,
    vision_num_blocks=(1, 1, 1, 1),
    text_width=16,
    text_num_layers=1,
    head_width=8,
)


def test_features_have_one_row_per_input_and_embed_dim_columns() -> None:
    model = TINY_MODEL.build(vocab_size=300)
    assert model.encode_image(torch.zeros(3, 3, 16, 16)).shape == (3, 16)
    assert model.encode_text(torch.tensor([[298, 5, 299], [298, 299, 0]])).shape == (2, 16)


@pytest.mark.parametrize("name", NUM_PARAMETERS)
def test_the_papers_models_have_the_papers_parameters(name: str) -> None:
    with torch.device("meta"):
        model = PAPER_MODELS[name].build(vocab_size=49_408)
    counts = [sum(p.numel() for p in part.parameters()) for part in (model, model.visual)]
    assert tuple(counts) == NUM_PARAMETERS[name]


def test_every_model_of_the_paper_has_its_recipe() -> None:
    assert [RECIPES[name]().model for name in PAPER_RECIPES] == list(PAPER_MODELS.values())


def test_a_resnets_features_and_config_are_as_a_vits() -> None:
    model = TINY_RESNET.build(vocab_size=300)
    assert model.encode_image(torch.zeros(3, 3, 64, 64)).shape == (3, 16)
    assert model_from_json(json.loads(json.dumps(model_to_json(TINY_RESNET)))) == TINY_RESNET


def test_a_resnets_state_dict_has_openais_keys() -> None:
    keys = set(TINY_RESNET.build(vocab_size=300).state_dict())
    block = "visual.layer2.0"
    assert {f"{block}.downsample.0.weight", f"{block}.downsample.1.running_mean"} <= keys
    assert {f"{block}.conv3.weight", f"{block}.bn3.num_batches_tracked", "visual.bn3.bias"} <= keys
    pool = "visual.attnpool"
    assert {f"{pool}.positional_embedding", f"{pool}.q_proj.weight", f"{pool}.c_proj.bias"} <= keys


def test_forward_returns_the_logits_of_images_and_their_transpose() -> None:
    model = TINY_MODEL.build(vocab_size=300)
    per_image, per_text = model(torch.zeros(3, 3, 16, 16), torch.tensor([[298, 5, 299], [298, 299, 0]]))
    assert per_image.shape == (3, 2)
    assert torch.equal(per_image, per_text.t())


def test_the_state_dict_has_openais_keys() -> None:
    attention = ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    layers = ["ln_1", "ln_2", "mlp.c_fc", "mlp.c_proj"]
    block = [f"attn.{name}" for name in attention]
    block += [f"{name}.{kind}" for name in layers for kind in ("weight", "bias")]
    expected = {"logit_scale", "positional_embedding", "text_projection", "token_embedding.weight"}
    expected |= {
        "visual.conv1.weight",
        "visual.class_embedding",
        "visual.positional_embedding",
        "visual.proj",
    }
    for norm in ("ln_final", "visual.ln_pre", "visual.ln_post"):
        expected |= {f"{norm}.weight", f"{norm}.bias"}
    for tower in ("", "visual."):
        expected |= {f"{tower}transformer.resblocks.0.{name}" for name in block}
    assert set(TINY_MODEL.build(vocab_size=300).state_dict()) == expected


def test_cutting_captions_behind_end_of_text_changes_no_feature() -> None:
    torch.manual_seed(0)
    model = TINY_MODEL.build(vocab_size=300)
    text = torch.tensor([[298, 7, 8, 299] + [0] * 12, [298, 9, 299, 0] + [0] * 12])
    assert torch.allclose(model.encode_text(text), model.encode_text(text[:, :4]), atol=1e-6, rtol=0)


def test_captions_encoded_in_groups_of_like_length_have_the_features_of_each_alone() -> None:
    model, text = TINY_MODEL.build(100), torch.zeros(33, 16, dtype=torch.int64)
    for row, end in enumerate(torch.randperm(33, generator=torch.Generator().manual_seed(0)).tolist()):
        text[row, : 1 + end % 15], text[row, 1 + end % 15] = 1 + row, 99
    with torch.inference_mode():
        expected = torch.cat([model.encode_text(text[row : row + 1]) for row in range(33)])
        assert torch.allclose(model.encode_text(text), expected, atol=1e-6)


@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_equals_torchs_module_with_the_same_parameters(is_causal: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(16, 2), nn.MultiheadAttention(16, 2, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5, 16)
    mask = torch.full((5, 5), float("-inf")).triu(1) if is_causal else None
    expected, _ = theirs(x, x, x, attn_mask=mask, need_weights=False)
    assert torch.allclose(ours(x, is_causal), expected, atol=1e-6)


def test_quick_gelu_is_x_times_sigmoid_of_1_702_x() -> None:
    x = torch.linspace(-8, 8, 101)
    assert torch.allclose(quick_gelu(x), x * torch.sigmoid(1.702 * x), atol=1e-6)


def test_text_weights_start_with_the_published_deviations() -> None:
    torch.manual_seed(0)
    block = TINY_MODEL.build(vocab_size=3000).transformer.resblocks[0]
    assert isinstance(block, nn.Module)
    deviations = {name: p.std().item() for name, p in block.named_parameters() if p.ndim == 2}
    expected = {
        "attn.in_proj_weight": 16**-0.5,
        "attn.out_proj.weight": 16**-0.5 * 2**-0.5,
        "mlp.c_fc.weight": 32**-0.5,
        "mlp.c_proj.weight": 16**-0.5 * 2**-0.5,
    }
    assert deviations == pytest.approx(expected, rel=0.12)


def deviations(model: nn.Module, *names: str) -> list[float]:
    parameters = dict(model.named_parameters())
    return [parameters[name].std().item() for name in names]


def test_the_image_towers_start_with_the_published_deviations() -> None:
    torch.manual_seed(0)
    vit = replace(TINY_MODEL, vision_width=64, embed_dim=64).build(vocab_size=300).visual
    of_vit = deviations(vit, "class_embedding", "positional_embedding", "proj")
    assert of_vit == pytest.approx([64**-0.5] * 3, rel=0.25)
    resnet = replace(TINY_RESNET, vision_width=8).build(vocab_size=300).visual
    weights = [f"attnpool.{part}_proj.weight" for part in "qkvc"]
    of_pool = deviations(resnet, "attnpool.positional_embedding", *weights)
    assert of_pool == pytest.approx([256**-0.5] * 5, rel=0.1)


def test_a_new_bottleneck_is_its_shortcut() -> None:
    block = Bottleneck(16, 4, stride=1).eval()
    x = torch.rand(2, 16, 4, 4)
    assert torch.equal(block(x), x)


def test_text_embeddings_start_with_the_published_deviations() -> None:
    torch.manual_seed(0)
    model = TINY_MODEL.build(vocab_size=3000)
    found = deviations(model, "token_embedding.weight", "positional_embedding", "text_projection")
    assert found == pytest.approx([0.02, 0.01, 16**-0.5], rel=0.15)
    assert model.logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_a_new_model_loses_about_the_logarithm_of_the_batch() -> None:
    torch.manual_seed(0)
    model = TINY_MODEL.build(vocab_size=300)
    images, tokens = torch.randn(64, 3, 16, 16), torch.randint(1, 298, (64, 8))
    tokens[:, -1] = 299
    # At a scale of 1: at the initial 14.3 the spread of random cosines in 16 dimensions already costs.
    loss = clip_loss(model.encode_image(images), model.encode_text(tokens), torch.tensor(1.0))
    assert abs(loss.item() - math.log(64)) < 0.1


def test_eight_pairs_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    model = TINY_MODEL.build(vocab_size=300)
    images, tokens = torch.randn(8, 3, 16, 16), torch.randint(1, 298, (8, 8))
    tokens[:, -1] = 299
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = clip_loss(model.encode_image(images), model.encode_text(tokens), model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_a_models_config_survives_json() -> None:
    assert model_from_json(model_to_json(TINY_MODEL)) == TINY_MODEL
    with pytest.raises(ValueError, match=f"unknown model 'rnn', known: {', '.join(MODELS)}"):
        model_from_json({"name": "rnn"})


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        (TINY_MODEL, {"text_width": 17}, "model.text_width is 17, must be a multiple of 8"),
        (TINY_MODEL, {"head_width": 0}, "model.vision_width is 16, must be a multiple of 0"),
        (TINY_RESNET, {"image_side_px": 40}, "model.image_side_px is 40, must be a multiple of 32"),
        (TINY_RESNET, {"context_length": 2}, "model.context_length is 2, must be at least 3"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(
    model: ModelConfig, change: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model_from_json(model_to_json(model) | change)


def test_a_side_that_patches_do_not_fill_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model.image_side_px is 17, must be a multiple of 8"):
        model_from_json(model_to_json(TINY_MODEL) | {"image_side_px": 17})


def test_the_loss_equals_the_slow_obvious_one() -> None:
    torch.manual_seed(0)
    image_features, text_features = torch.randn(5, 4), torch.randn(5, 4)
    total = 0.0
    for i in range(5):
        for one, others in ((image_features[i], text_features), (text_features[i], image_features)):
            logits = torch.stack([7 * F.cosine_similarity(one, other, dim=0) for other in others])
            total -= logits.softmax(0)[i].log().item()
    assert clip_loss(image_features, text_features, torch.tensor(7.0)).item() == pytest.approx(total / 10)


def test_the_loss_is_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        features = torch.randn(4, 8, dtype=torch.bfloat16)
        assert clip_loss(features, features, torch.tensor(10.0)).dtype == torch.float32
