"""CLIP's byte-pair encoding, token for token (CLIP/clip/simple_tokenizer.py), from the vocabulary file it
is published with.
"""

import gzip
import hashlib
import html
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import ftfy
import regex

VOCAB_NAME = "bpe_simple_vocab_16e6.txt.gz"
VOCAB_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
NUM_MERGES = 49_152 - 256 - 2

_WORD = regex.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    regex.IGNORECASE,
)


def read_clip_merges(path: Path | None) -> list[str]:
    """Return CLIP's 48,894 merges, best first, each as two symbols with a space between.

    Without a path the file is taken from an installed open_clip_torch. Raises ValueError if there is none,
    or if it is another file than the one CLIP was trained with.
    """
    path = path or _installed_vocab()
    if not path.is_file():
        raise ValueError(
            f"no vocabulary at {path}. Next: pass --tokenizer.clip-vocab FILE, a copy of {VOCAB_NAME}"
        )
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != VOCAB_SHA256:
        raise ValueError(
            f"{path} has sha256 {found}, CLIP's {VOCAB_NAME} has {VOCAB_SHA256}. Next: fetch it again"
        )
    return gzip.decompress(data).decode().split("\n")[1 : NUM_MERGES + 1]


def _installed_vocab() -> Path:
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise ValueError(
            f"CLIP's vocabulary is not installed. Next: pip install open_clip_torch, "
            f"or pass --tokenizer.clip-vocab FILE, a copy of {VOCAB_NAME}"
        )
    return Path(package.origin).parent / VOCAB_NAME


def byte_symbols() -> dict[int, str]:
    """Return a printable character for each of the 256 bytes, in the order of CLIP's first 256 tokens.

    >>> symbols = byte_symbols()
    >>> symbols[ord("a")], symbols[ord(" ")]
    ('a', 'Ġ')
    """
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def clean(caption: str) -> str:
    """Return the caption as CLIP reads it: repaired, unescaped twice, lower case, single spaces."""
    repaired: str = html.unescape(html.unescape(ftfy.fix_text(caption)))
    spaced: str = regex.sub(r"\s+", " ", repaired)
    return spaced.strip().lower()


class ClipBpe:
    """Ids of captions under a list of merges."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self._rank = {merge: rank for rank, merge in enumerate(merges)}
        self._symbols = byte_symbols()
        letters = list(self._symbols.values())
        specials = ["<|startoftext|>", "<|endoftext|>"]
        tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), *specials]
        self._id = {token: number for number, token in enumerate(tokens)}
        self.vocab_size = len(tokens)
        # CLIP keeps every word it ever saw; on web text that memory only grows.
        self._word_ids = lru_cache(maxsize=100_000)(self._merge_word)
        self._specials = {special: (self._id[special],) for special in specials}

    def tokenize(self, caption: str) -> list[int]:
        """Return the ids of a caption without start and end of text."""
        return [number for word in _WORD.findall(clean(caption)) for number in self._word_ids(word)]

    def _merge_word(self, word: str) -> tuple[int, ...]:
        if word in self._specials:
            return self._specials[word]
        symbols = [self._symbols[byte] for byte in word.encode()]
        symbols[-1] += "</w>"
        while len(symbols) > 1:
            best = min(pairwise(symbols), key=lambda pair: self._rank.get(pair, len(self._rank)))
            if best not in self._rank:
                break
            symbols = _merged(symbols, best)
        return tuple(self._id[symbol] for symbol in symbols)


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Return the symbols with every occurrence of the pair joined, from left to right."""
    out: list[str] = []
    i = 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out
