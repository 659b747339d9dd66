"""Captions to token ids: a vocabulary learnt from the dataset, or CLIP's own. Both live inside the
checkpoint.

Every caption becomes start-of-text, its tokens, end-of-text and zeros. End-of-text is the highest id of the
vocabulary, which is how the text tower finds it.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

import tokenizers
import torch
from torch import Tensor

from train.bpe import ClipBpe, read_clip_merges
from train.config import TokenizerConfig

# More captions change a vocabulary of some thousand tokens no further.
MAX_TRAINING_CAPTIONS = 1_000_000


class Tokenizer(Protocol):
    """What the trainer and the evaluations ask of a tokenizer."""

    kind: str
    vocab_size: int

    def tokenize(self, caption: str) -> list[int]:
        """Return the ids of a caption without start and end of text."""

    def state(self) -> str:
        """Return what `load_tokenizer` needs to rebuild it, as text."""


class DatasetTokenizer:
    """Byte-level BPE over lower-cased captions: any text is representable, so there is no unknown token."""

    kind = "dataset"

    def __init__(self, state: str) -> None:
        self._bpe = tokenizers.Tokenizer.from_str(state)
        self.vocab_size = self._bpe.get_vocab_size() + 2

    @classmethod
    def train(cls, captions: Iterable[str], vocab_size: int) -> "DatasetTokenizer":
        """Learn at most `vocab_size` tokens, start and end included, from the first million captions."""
        bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
        bpe.normalizer = tokenizers.normalizers.Sequence(
            [tokenizers.normalizers.NFC(), tokenizers.normalizers.Lowercase(), tokenizers.normalizers.Strip()]
        )
        bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=max(256, vocab_size - 2),
            min_frequency=2,
            show_progress=False,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        )
        bpe.train_from_iterator(islice(captions, MAX_TRAINING_CAPTIONS), trainer)
        return cls(bpe.to_str())

    def tokenize(self, caption: str) -> list[int]:
        ids: list[int] = self._bpe.encode(caption).ids
        return ids

    def state(self) -> str:
        text: str = self._bpe.to_str()
        return text


class ClipTokenizer(ClipBpe):
    """CLIP's tokenizer: 49,408 tokens, ids equal to CLIP's."""

    kind = "clip"

    def __init__(self, state: str) -> None:
        super().__init__([(left, right) for left, right in (line.split() for line in state.split("\n"))])

    def state(self) -> str:
        return "\n".join(" ".join(merge) for merge in self.merges)


def build_tokenizer(config: TokenizerConfig, captions: Iterable[str]) -> Tokenizer:
    """Return the tokenizer that the config asks for. Raises ValueError where CLIP's vocabulary is not to be
    had.
    """
    if config.kind == "dataset":
        return DatasetTokenizer.train(captions, config.vocab_size)
    return ClipTokenizer("\n".join(read_clip_merges(config.clip_vocab)))


def load_tokenizer(kind: str, state: str) -> Tokenizer:
    """Return the tokenizer whose `kind` and `state()` a checkpoint holds."""
    return ClipTokenizer(state) if kind == "clip" else DatasetTokenizer(state)


def encode(tokenizer: Tokenizer, captions: Sequence[str], context_length: int) -> Tensor:
    """Return int64 ids (B, L), L the length of the longest caption and at most `context_length`.

    A caption that is too long loses its end but keeps end-of-text. Cutting a batch to its longest caption
    is exact: the text tower is causal and is read at end-of-text.
    """
    start, end = tokenizer.vocab_size - 2, tokenizer.vocab_size - 1
    rows = [[start, *tokenizer.tokenize(caption)[: context_length - 2], end] for caption in captions]
    length = max(map(len, rows))
    return torch.tensor([row + [0] * (length - len(row)) for row in rows], dtype=torch.int64)
