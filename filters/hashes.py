"""Fingerprints of pictures: SHA-256 of the bytes, 64-bit DCT hash of the pixels, all pairs of near hashes."""

from hashlib import sha256
from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fftpack

from filters.lanczos import lanczos_32

HASH_SIDE = 8
HASH_BITS = HASH_SIDE**2
MAX_DISTANCE = 16  # beyond it the keys get so short that near_pairs compares everything with everything


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return sha256(data).hexdigest()


def phash(image: Image.Image) -> int:
    """Return the 64-bit perceptual hash of a picture: the signs of its lowest 8 x 8 DCT terms.

    The same bits as `imagehash.phash(image)`, the first of them the highest. Pictures that were resized or
    re-encoded differ in a few bits, unrelated ones in about 32.
    """
    small = lanczos_32(np.asarray(image.convert("L")))
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


def block_keys(hashes: NDArray[np.uint64], max_distance: int) -> NDArray[np.uint64]:
    """Return keys (num_keys, N): hashes (N,) within `max_distance` bits share at least one row's key.

    The 64 bits are cut into max_distance + 2 blocks; d differing bits touch at most d of them, so two blocks
    are equal in both hashes, and each pair of blocks gives a key (for 4: 15 keys of about 21 bits). The key's
    row stands in its highest bits, so keys of different rows never meet. Raises ValueError for a distance
    outside 0..16.
    """
    _check_distance(max_distance)
    num_blocks = max_distance + 2
    edges = [HASH_BITS * block // num_blocks for block in range(num_blocks + 1)]
    hashes = np.ascontiguousarray(hashes, dtype=np.uint64)
    blocks = [
        (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1) for low, high in pairwise(edges)
    ]
    keys = np.empty((comb(num_blocks, 2), len(hashes)), dtype=np.uint64)
    for row, (first, second) in enumerate(combinations(range(num_blocks), 2)):
        width = np.uint64(edges[second + 1] - edges[second])
        keys[row] = (blocks[first] << width) | blocks[second]
        if max_distance > 0:  # at distance 0 the only key is the hash itself and fills all bits
            keys[row] |= np.uint64(row << 56)
    return keys


def near_pairs(hashes: NDArray[np.uint64], max_distance: int) -> NDArray[np.int64]:
    """Return all (i, j), i < j, whose hashes differ in at most `max_distance` bits: (P, 2), sorted.

    Exact: none is missed, nothing is approximate (see `block_keys`). A hash that is equal to an earlier one
    is linked to the first of its kind alone, and only firsts are compared further: N equal hashes give N - 1
    pairs, not N squared, and the connected groups are the same.

    >>> near_pairs(np.array([0b0000, 0b1111, 0b0001, 0b0000], dtype=np.uint64), max_distance=1).tolist()
    [[0, 2], [0, 3]]
    """
    hashes = np.ascontiguousarray(hashes, dtype=np.uint64)
    distinct, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    rows = np.arange(len(hashes))
    copies = rows != first[kind]
    pairs = [np.stack([first[kind[copies]], rows[copies]], axis=1)]
    for keys in block_keys(distinct, max_distance):
        pairs.append(first[pairs_within(distinct, keys, max_distance)])
    found = np.sort(np.concatenate(pairs), axis=1).astype(np.int64)
    return np.unique(found, axis=0)


def pairs_within(
    hashes: NDArray[np.uint64], keys: NDArray[np.uint64], max_distance: int
) -> NDArray[np.int64]:
    """Return index pairs (P, 2) of equal key and near hash, unordered. Both inputs (N,); hashes distinct."""
    order = np.argsort(keys, kind="stable")
    keys, hashes = keys[order], hashes[order]
    found = [np.empty((0, 2), dtype=np.int64)]
    left, offset = np.arange(len(keys)), 1
    # Each is compared with its offset-th neighbour while that has its key: memory stays linear in N.
    while len(left):
        left = left[left + offset < len(keys)]
        left = left[keys[left] == keys[left + offset]]
        near = left[np.bitwise_count(hashes[left] ^ hashes[left + offset]) <= max_distance]
        found.append(np.stack([order[near], order[near + offset]], axis=1))
        offset += 1
    return np.concatenate(found)


def _check_distance(max_distance: int) -> None:
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise ValueError(
            f"max_distance {max_distance} of {HASH_BITS} bits: give 0 to {MAX_DISTANCE}; 4 is usual"
        )
