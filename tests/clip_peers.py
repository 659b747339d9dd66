"""What the tests against open_clip and transformers share: models of every architecture, small or whole,
hostile captions, and a run of `tests.bench.peer_clip`.
"""

import gzip
import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from train.config import ModelConfig
from train.models.clip import Clip, ClipVit
from train.models.paper import PAPER_MODELS
from train.models.resnet import ClipResNet

ROOT = Path(__file__).parent.parent
PEERS = ROOT / ".venv-peers/bin/python"
SHARED = ROOT / "../shared/data"
CLIP_VOCAB = SHARED / "text/clip/openai_bpe_simple_vocab_16e6.txt.gz"
# Ours and open_clip's names; "-quickgelu" are the models as OpenAI trained them.
NAMES = {name: name.replace("/", "-").replace("@336px", "-336") + "-quickgelu" for name in PAPER_MODELS}

NUM_PARAMETERS = {  # of the whole model, and of its image tower
    "RN50": (102_007_137, 38_316_896),
    "RN101": (119_688_033, 56_259_936),
    "RN50x4": (178_300_601, 87_137_080),
    "RN50x16": (290_979_217, 167_328_912),
    "RN50x64": (623_258_305, 420_380_352),
    "ViT-B/32": (151_277_313, 87_849_216),
    "ViT-B/16": (149_620_737, 86_192_640),
    "ViT-L/14": (427_616_513, 303_966_208),
    "ViT-L/14@336px": (427_944_193, 304_293_888),
}
_WORDS = "A photo of THE dog's café naïve isn't we'll I'M they'Re Kraków Ünïcödé ſtraſse İstanbul ΣΊΣΥΦΟΣ"
_ENTITIES = """
&amp; &amp;amp; &amp;lt;b&amp;gt; &eacute; &#x1F600; &#128512; &#xD800; &notanentity; &#0; &#x80; &nbsp
&amp;nbsp; &lt;br/&gt; &copy & &amp;amp;eacute; &#x1c; &#133;
"""
_ODD = """
👩‍👩‍👧‍👦 🇵🇱 👍🏽 ☕️ ½ ３ Ⅷ ² ﬁ ﬃ ĳ ＬＯＵＤ “curly” it’s – … — ‘ „ °C À° √©
Ã© â€™ â€œquotedâ€ Ð¿Ñ€Ð¸Ð²ÐµÑ‚ schÃ¶n Â© ÃƒÂ© 漢字 かな 한국어 नमस्ते ไทย مرحبا שלום Ελλάδα привет
''' !!!??? <| |> __ 12345 3.14 a.b.c don't've
"""
_CONTROLS = [
    *("\u202eabc\u202c", "\u200f", "\u200d", "\ufeff", "\x00", "\x07", "\x1b[31m", "\x1c", "\x85", "\xa0"),
    *("\ud800", "\udfff", "\ud83d\ude00", "\U0010ffff", "\ufffd", "\u3000", "\u2028", "\r\n", "\t", "\n\n"),
    *("a\u0301", "\x9d", "\u2060", "\ufff9", "\u206a"),
]


def run_jobs(folder: Path, jobs: list[dict[str, Any]]) -> list[Any]:
    """Run jobs in the peers' environment, in one process, and return what they returned."""
    path = folder / f"jobs-{time.monotonic_ns()}.json"
    path.write_text(json.dumps(jobs))
    command = [str(PEERS), "-W", "ignore", "-m", "tests.bench.peer_clip", str(path)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


def shallow(config: ModelConfig) -> tuple[ModelConfig, dict[str, Any]]:
    """Return a model of the same widths with few layers and small pictures, and open_clip's words for it."""
    assert isinstance(config, ClipVit | ClipResNet)
    text = {"layers": 2, "vocab_size": 1000}
    if isinstance(config, ClipVit):
        small: ModelConfig = replace(
            config, image_side_px=4 * config.patch_side_px, vision_num_layers=2, text_num_layers=2
        )
        return small, {"vision_cfg": {"layers": 2, "image_size": small.image_side_px}, "text_cfg": text}
    blocks = (2, 1, 1, 1)
    small = replace(config, image_side_px=64, vision_num_blocks=blocks, text_num_layers=2)
    return small, {"vision_cfg": {"layers": list(blocks), "image_size": 64}, "text_cfg": text}


def narrow(config: ModelConfig) -> tuple[ModelConfig, dict[str, Any]]:
    """Return a shallow model that is also narrow: a few megabytes."""
    small, changes = shallow(config)
    assert isinstance(small, ClipVit | ClipResNet)
    width = 128 if isinstance(small, ClipVit) else 16
    changes["vision_cfg"]["width"], changes["embed_dim"] = width, 96
    changes["text_cfg"] |= {"width": 192, "heads": 3}
    return replace(small, vision_width=width, text_width=192, embed_dim=96), changes


def seeded(config: ModelConfig, vocab_size: int, seed: int = 0) -> Clip:
    """Return a model for evaluation in which nothing is as a new one has it: no gain is 1, no bias 0, no mean
    of a batch norm 0."""
    torch.manual_seed(seed)
    model = config.build(vocab_size)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("running_var", "bn3.weight")):
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim == 1 and name != "visual.class_embedding":
                tensor.add_(0.1 * torch.randn_like(tensor))
    return model.eval()


def inputs(config: ModelConfig, vocab_size: int, num_pairs: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return images (B, 3, S, S) and captions (B, 77) that end at different places."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num_pairs, 3, config.image_side_px, config.image_side_px, generator=generator)
    text = torch.randint(1, vocab_size - 2, (num_pairs, 77), generator=generator)
    for row in range(num_pairs):
        text[row, 0], text[row, 5 + 9 * row % 70] = vocab_size - 2, vocab_size - 1
        text[row, 6 + 9 * row % 70 :] = 0
    return images, text


def relative(found: Tensor, expected: Tensor) -> float:
    """Return the largest distance of a row from what is expected, as a share of its length."""
    distances = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    return float(distances.max())


def hostile_captions(num_captions: int, seed: int = 0) -> Iterator[str]:
    """Give captions as the web has them at its worst, without the words that stand for start and end."""
    rng = random.Random(seed)
    words, entities = _WORDS.split(), _ENTITIES.split()
    odd = [*_ODD.split(), *_CONTROLS]
    kinds = (words, entities, odd)
    for _ in range(num_captions):
        kind = rng.random()
        if kind < 0.02:
            yield rng.choice(["", " ", "\n", "\u200b", "&nbsp;", "."])
        elif kind < 0.10:  # any characters at all
            yield "".join(chr(rng.choice((rng.randrange(0x250), rng.randrange(0x110000)))) for _ in range(30))
        elif kind < 0.11:
            yield "".join(rng.choices("abcé🙂 '&;", k=rng.randrange(500, 3000)))
        else:
            pieces = [rng.choice(rng.choice(kinds)) for _ in range(rng.randrange(1, 12))]
            yield rng.choice((" ", " ", "")).join(pieces)


def real_captions() -> Iterator[str]:
    """Give every caption, name and sentence of the shared data; none where it is absent."""
    for path in sorted(SHARED.glob("pairs/*/pairs.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from _strings(json.loads(line))
    for path in sorted(SHARED.glob("text/alttext/*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            yield from _strings(json.loads(line))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
