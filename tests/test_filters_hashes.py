"""Fingerprints equal to imagehash's own, and near pairs against the slow obvious way."""

from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from filters.hashes import hamming, phash, sha256_hex

NEAR_DUPLICATES = Path("../shared/data/neardup/pdq")


@settings(max_examples=20)
@given(st.integers(0, 1 << 32), st.sampled_from(["RGB", "L", "RGBA"]))
def test_a_perceptual_hash_has_the_bits_of_imagehash(seed: int, mode: str) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA").resize((90, 70)).convert(mode)
    bits = imagehash.phash(image).hash.flatten()
    assert f"{phash(image):064b}" == "".join("01"[int(bit)] for bit in bits)


def test_copies_of_a_photograph_are_near_and_others_far() -> None:
    if not NEAR_DUPLICATES.exists():
        pytest.skip(f"{NEAR_DUPLICATES} is absent: third-party pictures are not part of the project")
    copies = sorted(NEAR_DUPLICATES.glob("bridge-mods/*.jpg"))
    others = sorted(NEAR_DUPLICATES.glob("reg-test-input/labelme-subset/**/*.jpg"))
    original, *hashes = (phash(Image.open(path)) for path in [*copies, *others])
    distances = [hamming(original, other) for other in hashes]
    assert max(distances[: len(copies) - 1]) == 4  # the sharpened one; the seven others are 0 away
    assert min(distances[len(copies) - 1 :]) > 16


def test_sha256_is_the_standard_one() -> None:
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
