"""Fingerprints of pictures: SHA-256 of the bytes, 64-bit DCT hash of the pixels."""

import hashlib
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fftpack

from filters.looks import greys_32
from filters.reasons import Drop, Reason

HASH_SIDE = 8
HASH_BITS = HASH_SIDE**2


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return sha256(data).hexdigest()


def check_hash(data: bytes, expected: str) -> Drop | None:
    """Return why these are not the bytes that were expected: sha256:DIGITS, sha512:DIGITS or md5:DIGITS.

    >>> str(check_hash(b"other", "md5:d41d8cd98f00b204e9800998ecf8427e"))
    'hash_mismatch: md5 is 795f3202b17c, not d41d8cd98f00'
    """
    kind, _, digits = expected.partition(":")
    found = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
    if found == digits.lower():
        return None
    return Drop(Reason.HASH_MISMATCH, f"{kind} is {found[:12]}, not {digits[:12].lower()}")


def phash(image: Image.Image) -> int:
    """Return the 64-bit perceptual hash of a picture: the signs of its lowest 8 x 8 DCT terms.

    The same bits as `imagehash.phash(image)`, the first of them the highest. Pictures that were resized or
    re-encoded differ in a few bits, unrelated ones in about 32.
    """
    return phash_of(greys_32(image))


def phash_of(small: NDArray[np.uint8]) -> int:
    """Return the perceptual hash of a picture of which `greys_32` gave these (32, 32)."""
    # The very transform that imagehash calls: on flat pictures the terms are ties but for its rounding.
    terms = fftpack.dct(fftpack.dct(small, axis=0), axis=1)[:HASH_SIDE, :HASH_SIDE].ravel()
    low, high = np.partition(terms, (HASH_BITS // 2 - 1, HASH_BITS // 2))[HASH_BITS // 2 - 1 :][:2]
    return int.from_bytes(np.packbits(terms > (low + high) / 2).tobytes(), "big")


def hamming(a: int, b: int) -> int:
    """Return in how many bits two hashes differ.

    >>> hamming(0b1010, 0b0011)
    2
    """
    return (a ^ b).bit_count()
