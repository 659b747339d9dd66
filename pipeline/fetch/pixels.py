"""Bytes to a stored picture: header first, then decode, hash, resize, encode, in one thread.

What happens here runs in the processes of `decoders`, which a hostile picture may bring down.
"""

from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from filters.checks import ImageChecks, screen_image, screen_pixels, without_header
from filters.colours import colours_of
from filters.hashes import phash_of, sha256_hex
from filters.images import read_header, sniff_format
from filters.looks import greys_32
from filters.pdq import pdq_of
from filters.reasons import Drop
from pipeline.fetch.blur import Boxes, blurred
from pipeline.fetch.decode import Decoded, dct_scale, decode
from pipeline.fetch.encode import to_bytes
from pipeline.fetch.jpeg import without_metadata
from pipeline.fetch.resize import fit
from pipeline.limits import Encode

# Part of the format: the hash of a JPEG is that of its pixels at the smallest DCT scale (1, 1/2 or 1/4)
# that leaves both sides at least so long. It is the same however pictures are stored.
HASH_SIDE_PX = 512
# A JPEG is decoded at the smallest scale that leaves this many times what is stored: at 1, what is kept
# differs by more than a level from what the whole decode gives, at 2 by half of one (docs/DECISIONS.md).
DECODED_PER_STORED = 2
MAX_THUMBNAIL_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPicture:
    """A picture as it is stored, and what was measured on the way."""

    data: bytes
    width: int
    height: int
    original_width: int  # as the file declares it, before it is turned upright
    original_height: int
    original_bytes: int | None  # None where another package has fetched it and did not say
    sha256: str
    phash: int
    colours: str
    pdq: str | None = None  # where it was asked for


class Fingerprint(NamedTuple):
    """By what a picture is told from others."""

    sha256: str
    phash: int
    colours: str


def encode_picture(
    data: bytes, checks: ImageChecks, encode: Encode, boxes: Boxes = (), *, with_pdq: bool = False
) -> EncodedPicture | Drop:
    """Return the picture of a file as it is to be stored, `boxes` blurred, or why it is not kept. Its hashes
    are those of the whole picture."""
    screened = screen_image(data, checks)
    if screened.drop:
        return screened.drop
    header = screened.header
    assert header is not None
    scale = dct_scale(header, None if encode.resize == "no" else DECODED_PER_STORED * encode.side_px)
    decoded = decode(data, header, scale, screened.opened)
    hash_scale = dct_scale(header, HASH_SIDE_PX)
    hashed = decoded if scale == hash_scale else decode(data, header, hash_scale)
    if isinstance(decoded, Drop):
        return decoded
    if isinstance(hashed, Drop):
        return hashed
    grey = greys_32(hashed.image)
    if drop := screen_pixels(grey, checks):
        return drop
    stored = fit(blurred(decoded.image, boxes), decoded.full_size, encode)
    as_it_is = None if boxes else passed_through(data, decoded, stored, encode)
    return EncodedPicture(
        data=as_it_is or to_bytes(stored, encode),
        width=stored.width,
        height=stored.height,
        original_width=header.width_px,
        original_height=header.height_px,
        original_bytes=len(data),
        sha256=sha256_hex(data),
        phash=phash_of(grey),
        colours=colours_of(hashed.image),
        pdq=pdq_of(hashed.image) if with_pdq else None,
    )


def fingerprint(data: bytes) -> Fingerprint | Drop:
    """Return what tells a picture file from others, as `encode_picture` would; a Drop where it cannot be
    decoded or is blank."""
    header = read_header(data)
    hashed = decode(data, header, dct_scale(header, HASH_SIDE_PX)) if header else without_header(data)
    if isinstance(hashed, Drop):
        return hashed
    grey = greys_32(hashed.image)
    drop = screen_pixels(grey, ImageChecks())
    return drop or Fingerprint(sha256_hex(data), phash_of(grey), colours_of(hashed.image))


def passed_through(data: bytes, decoded: Decoded, stored: Image.Image, encode: Encode) -> bytes | None:
    """Return a JPEG's own compressed data where that already is what is to be stored."""
    wanted = encode.pass_through and encode.format == "jpeg" and sniff_format(data) == "jpeg"
    return without_metadata(data) if wanted and decoded.plain and stored.size == decoded.full_size else None


def thumbnail(data: bytes, max_side_px: int = 128) -> bytes | None:
    """Return a small JPEG of a picture for the report, None where it cannot be decoded."""
    header = read_header(data)
    if header is None or header.width_px * header.height_px > MAX_THUMBNAIL_PIXELS:
        return None
    decoded = decode(data, header, dct_scale(header, max_side_px))
    if isinstance(decoded, Drop):
        return None
    small = Encode(resize="keep_ratio_largest", side_px=max_side_px, quality=80)
    return to_bytes(fit(decoded.image, decoded.full_size, small), small)
