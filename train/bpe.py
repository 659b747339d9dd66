"""CLIP's byte-pair encoding, token for token (CLIP/clip/simple_tokenizer.py), from the vocabulary file it
is published with.
"""

import gzip
import hashlib
import html
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import ftfy
import regex
import tokenizers

VOCAB_NAME = "bpe_simple_vocab_16e6.txt.gz"
VOCAB_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
NUM_MERGES = 49_152 - 256 - 2

MAX_REMEMBERED = 64  # characters of a word
START, END = "<|startoftext|>", "<|endoftext|>"

# What ftfy leaves alone but for the quotes, and html too: most captions. The heuristics by which ftfy finds
# wrong encodings need at least one character that is not here.
_PLAIN = regex.compile(r"[\t\n -%'-~‘’“”–—…]*")
_STRAIGHT_QUOTES = str.maketrans("‘’“”", "''\"\"")

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
    """Return the caption as CLIP reads it: repaired, unescaped twice, lower case, single spaces.

    >>> clean("  Caf&amp;eacute;  “to go” ")
    'café "to go"'
    """
    if _PLAIN.fullmatch(caption):
        repaired = caption.translate(_STRAIGHT_QUOTES)
    else:
        repaired = html.unescape(html.unescape(ftfy.fix_text(caption)))
    return " ".join(repaired.split()).lower()


class ClipBpe:
    """Ids of captions under a list of merges."""

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        self.merges = merges
        self._symbols = byte_symbols()
        letters = list(self._symbols.values())
        tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), START, END]
        self.vocab = {token: number for number, token in enumerate(tokens)}
        self.vocab_size = len(tokens)
        self._bpe = tokenizers.models.BPE(vocab=self.vocab, merges=merges, end_of_word_suffix="</w>")
        # CLIP keeps every word it ever saw; on web text that memory only grows. Here it ends below 40 MB.
        self._word_ids = lru_cache(maxsize=100_000)(self._merge_word)

    def tokenize(self, caption: str) -> list[int]:
        """Return the ids of a caption without start and end of text."""
        return [number for word in _WORD.findall(clean(caption)) for number in self._ids(word)]

    @property
    def num_remembered(self) -> int:
        """Return the number of words whose ids are kept: at most 100,000."""
        return self._word_ids.cache_info().currsize

    def _ids(self, word: str) -> tuple[int, ...]:
        return self._word_ids(word) if len(word) <= MAX_REMEMBERED else self._merge_word(word)

    def _merge_word(self, word: str) -> tuple[int, ...]:
        if word in (START, END):
            return (self.vocab[word],)
        symbols = "".join([self._symbols[byte] for byte in word.encode()])
        return tuple(token.id for token in self._bpe.tokenize(symbols))
