import gzip
import html
import random
from pathlib import Path

import ftfy
import pytest
import regex

from tests.clip_peers import hostile_captions
from train.bpe import clean, read_clip_merges
from train.config import TokenizerConfig
from train.tokenizer import (
    ClipTokenizer,
    DatasetTokenizer,
    Tokenizer,
    build_tokenizer,
    encode,
    load_tokenizer,
)

CLIP_VOCAB = Path("../shared/data/text/clip/openai_bpe_simple_vocab_16e6.txt.gz")
CAPTIONS = [
    "A red car",
    "a red house by the sea",
    "Two red cars, seen in Kraków",
    "naïve café 3½ ☕",
    "a red car",
] * 3


@pytest.fixture(scope="module")
def clip_tokenizer() -> Tokenizer:
    if not CLIP_VOCAB.is_file():
        pytest.skip(f"CLIP's vocabulary is not at {CLIP_VOCAB}")
    return build_tokenizer(TokenizerConfig(kind="clip", clip_vocab=CLIP_VOCAB), [])


def slow_clip_ids(caption: str, merges: list[tuple[str, ...]]) -> list[int]:
    """CLIP's algorithm as one would explain it: apply every merge, best first, wherever it occurs."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = printable + [byte for byte in range(256) if byte not in printable]
    letter = {byte: chr(byte) if byte in printable else chr(256 + n - 188) for n, byte in enumerate(order)}
    letters = [letter[byte] for byte in order]
    tokens = letters + [one + "</w>" for one in letters] + ["".join(merge) for merge in merges]
    number = {token: n for n, token in enumerate(tokens)}
    text = " ".join(html.unescape(html.unescape(ftfy.fix_text(caption))).split()).lower()
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
    ids = []
    for word in regex.findall(pattern, text):
        parts = [letter[byte] for byte in word.encode()]
        parts[-1] += "</w>"
        for left, right in merges:
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == (left, right):
                    parts[i : i + 2] = [left + right]
                i += 1
        ids += [number[part] for part in parts]
    return ids


def test_clips_ids_are_those_of_the_slow_obvious_algorithm(clip_tokenizer: Tokenizer) -> None:
    lines = gzip.decompress(CLIP_VOCAB.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [tuple(line.split()) for line in lines]
    letters = random.Random(0).choices("aeiounrstl ABC'&;.,-0123456789éß漢字☕\t", k=60)
    for caption in ["A photo of a dog's café &amp;amp; naïve Ünïcödé ☕ 2024!!", "".join(letters)]:
        assert clip_tokenizer.tokenize(caption) == slow_clip_ids(caption, merges)


def test_a_diagram_has_the_ids_that_openai_publishes(clip_tokenizer: Tokenizer) -> None:
    # From the README of openai/CLIP: "a diagram", "a dog", "a cat".
    tokens = encode(clip_tokenizer, ["a diagram", "a dog", "a cat"], 77)
    assert tokens.tolist() == [
        [49406, 320, 22697, 49407],
        [49406, 320, 1929, 49407],
        [49406, 320, 2368, 49407],
    ]


def test_clips_special_words_are_single_tokens(clip_tokenizer: Tokenizer) -> None:
    assert clip_tokenizer.vocab_size == 49_408
    assert clip_tokenizer.tokenize("<|startoftext|> dog<|ENDOFTEXT|>") == [49406, 1929, 49407]


def test_another_vocabulary_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "vocab.txt.gz"
    other.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(ValueError, match="has sha256"):
        read_clip_merges(other)
    with pytest.raises(ValueError, match="no vocabulary at"):
        read_clip_merges(tmp_path / "absent")


def test_captions_are_cleaned_as_clip_does() -> None:
    assert clean("  A &amp;lt;b&amp;gt;\n\tÂ© caf\u00e9 ") == "a <b> © café"


def slow_clean(caption: str) -> str:
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(caption))).split()).lower()


def test_plain_and_hostile_captions_are_cleaned_as_ftfy_and_html_do() -> None:
    draw = random.Random(0)
    letters = "abcXYZ 019 -_.,;:!?'\"()[]{}<>/\\|@#$%^*+=~`‘’“”–—…\t\n"
    plain = ["".join(draw.choices(letters, k=draw.randrange(40))) for _ in range(3000)]
    for caption in [*plain, *hostile_captions(3000)]:
        assert clean(caption) == slow_clean(caption)


def test_few_words_are_remembered_and_no_long_ones(clip_tokenizer: Tokenizer) -> None:
    assert isinstance(clip_tokenizer, ClipTokenizer)
    before = clip_tokenizer.num_remembered
    ids = clip_tokenizer.tokenize("qxqx " + "q" * 10_000)
    assert len(ids) > 1000
    assert clip_tokenizer.num_remembered == before + 1


def test_end_of_text_is_the_highest_id_of_a_learnt_vocabulary() -> None:
    tokenizer = DatasetTokenizer.train(CAPTIONS, vocab_size=300)
    tokens = encode(tokenizer, CAPTIONS, 32)
    assert tokens.max().item() == tokenizer.vocab_size - 1
    assert (tokens == tokenizer.vocab_size - 1).sum(dim=1).tolist() == [1] * len(CAPTIONS)


def test_a_learnt_vocabulary_can_say_what_it_never_saw() -> None:
    tokenizer = DatasetTokenizer.train(["a"], vocab_size=300)
    assert len(tokenizer.tokenize("漢字")) >= 6


def test_a_caption_that_is_too_long_keeps_its_end_of_text() -> None:
    tokenizer = DatasetTokenizer.train(CAPTIONS, vocab_size=300)
    tokens = encode(tokenizer, ["word " * 50, "a"], 8)
    assert tokens.shape == (2, 8)
    assert tokens[0, -1].item() == tokenizer.vocab_size - 1


def test_a_batch_is_as_long_as_its_longest_caption() -> None:
    tokenizer = DatasetTokenizer.train(CAPTIONS, vocab_size=300)
    longest = max(len(tokenizer.tokenize(caption)) for caption in CAPTIONS)
    assert encode(tokenizer, CAPTIONS, 77).shape == (len(CAPTIONS), longest + 2)


def test_a_tokenizer_survives_its_state() -> None:
    tokenizer = DatasetTokenizer.train(CAPTIONS, vocab_size=300)
    again = load_tokenizer(tokenizer.kind, tokenizer.state())
    assert [again.tokenize(caption) for caption in CAPTIONS] == [tokenizer.tokenize(c) for c in CAPTIONS]


def test_learning_a_vocabulary_twice_gives_the_same() -> None:
    states = {DatasetTokenizer.train(CAPTIONS, vocab_size=290).state() for _ in range(3)}
    assert len(states) == 1
