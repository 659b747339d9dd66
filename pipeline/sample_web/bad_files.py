"""Files that are not pictures, or not usable ones, made from a good picture."""

import io
import struct
import zlib

from PIL import Image

from pipeline.sample_web.copies import decoded, encoded
from pipeline.sample_web.draw import draw_picture
from pipeline.sample_web.maker import Maker, Subject

ERROR_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body>Not found</body></html>\n"


def truncated(maker: Maker, subject: Subject) -> bytes:
    """Return the first part of the file."""
    return subject.data[: round(len(subject.data) * maker.rng.uniform(0.3, 0.8))]


def damaged_jpeg(_maker: Maker, subject: Subject) -> bytes:
    """Return the file with a Huffman table that no decoder can build; its header stays fine."""
    counts = subject.data.index(b"\xff\xc4") + 5  # marker, length and class; then codes per length
    return subject.data[:counts] + b"\xff" * 16 + subject.data[counts + 16 :]


def damaged_png(maker: Maker, subject: Subject) -> bytes:
    """Return the picture as a PNG with noise in the middle of its pixels."""
    data = encoded(decoded(subject.data), "PNG")
    middle = len(data) // 2
    return data[:middle] + maker.rng.randbytes(64) + data[middle + 64 :]


def huge_png(_maker: Maker, _subject: Subject) -> bytes:
    """Return a PNG of a few bytes that declares 50,000 x 50,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def shrunk_to(maker: Maker, subject: Subject, *, size: tuple[int, int]) -> bytes:
    """Return the picture squeezed into a size."""
    return encoded(draw_picture(subject.scene).resize(size), quality=maker.rng.randint(80, 90))


def tracking_pixel(_maker: Maker, _subject: Subject) -> bytes:
    """Return a GIF of one pixel."""
    buffer = io.BytesIO()
    Image.new("P", (1, 1)).save(buffer, "GIF")
    return buffer.getvalue()
