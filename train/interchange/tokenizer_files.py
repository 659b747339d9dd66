"""Tokenizers as transformers reads them: vocab.json and merges.txt of CLIP's, tokenizer.json of a dataset's.

transformers' CLIP tokenizer repairs no text (no ftfy, no html), so that on captions that need it, its ids
are others than CLIP's own.
"""

import json
from pathlib import Path
from typing import Any

import tokenizers

from manifests.store import write_bytes
from train.bpe import END, START
from train.config import TokenizerConfig
from train.interchange.portable import write_json
from train.tokenizer import ClipTokenizer, DatasetTokenizer, Tokenizer, build_tokenizer

CLIP_VOCAB_SIZE = 49_408


def write_tokenizer(tokenizer: Tokenizer, folder: Path, context_length: int) -> None:
    """Write the files of a tokenizer beside a model."""
    if isinstance(tokenizer, ClipTokenizer):
        kind = "CLIPTokenizer"
        write_json(folder / "vocab.json", tokenizer.vocab)
        merges = "".join(f"{left} {right}\n" for left, right in tokenizer.merges)
        write_bytes(folder / "merges.txt", f"#version: 0.2\n{merges}".encode())
    else:
        kind = "PreTrainedTokenizerFast"
        write_bytes(folder / "tokenizer.json", _with_start_and_end(tokenizer.state()).encode())
    # Filled up with the end of text: what follows the first one changes nothing.
    specials = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    known = {"tokenizer_class": kind, "model_max_length": context_length}
    write_json(folder / "tokenizer_config.json", known | specials)


def read_tokenizer(folder: Path, clip_vocab: Path | None, vocab_size: int) -> Tokenizer:
    """Return the tokenizer whose files lie in a folder, or CLIP's. Raises ValueError where the vocabulary is
    neither there nor CLIP's.
    """
    if (folder / "merges.txt").is_file():
        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:]
        tokenizer: Tokenizer = ClipTokenizer("\n".join(line for line in lines if line))
    elif (folder / "tokenizer.json").is_file():
        text = (folder / "tokenizer.json").read_text(encoding="utf-8")
        tokenizer = DatasetTokenizer(_without_start_and_end(text))
    else:
        if vocab_size != CLIP_VOCAB_SIZE:
            raise ValueError(
                f"a vocabulary of {vocab_size:,} tokens is not CLIP's, which has {CLIP_VOCAB_SIZE:,}. "
                f"Next: give the folder that was exported, in which its tokenizer.json lies"
            )
        tokenizer = build_tokenizer(TokenizerConfig(kind="clip", clip_vocab=clip_vocab), [])
    if tokenizer.vocab_size != vocab_size:
        raise ValueError(
            f"{folder} has a tokenizer of {tokenizer.vocab_size:,} tokens and a model of {vocab_size:,}. "
            f"Next: put the files of one model together"
        )
    return tokenizer


def _with_start_and_end(state: str) -> str:
    bpe = tokenizers.Tokenizer.from_str(state)
    bpe.add_special_tokens([START, END])
    bpe.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, bpe.token_to_id(START)), (END, bpe.token_to_id(END))],
    )
    return str(bpe.to_str(pretty=True))


def _without_start_and_end(text: str) -> str:
    try:
        known: dict[str, Any] = json.loads(text)
        known |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
        return str(tokenizers.Tokenizer.from_str(json.dumps(known)).to_str())
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"tokenizer.json is not one of ours: {error}") from error
