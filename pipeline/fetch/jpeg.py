"""A JPEG's compressed data without its metadata, where nothing in the metadata changes how it looks."""

import re
from collections.abc import Iterator

_SOI, _SOS, _COMMENT = b"\xff\xd8", 0xDA, 0xFE
_APP0, _APP14, _APP15 = 0xE0, 0xEE, 0xEF
_PLAIN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: Huffman-coded, as browsers read them
_TABLES = (0xDB, 0xC4, 0xDD)  # quantisation, Huffman, restart interval
# Whether there is one decides, for libjpeg, what the colours are; its thumbnail and density do not matter.
_JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\x00\x00\x01\x00\x01\x00\x00"
# Within a scan 0xFF is stuffed: metadata or the end. Tables between scans may look so by chance.
_AFTER_A_SCAN = re.compile(rb"\xff[\xd9\xe0-\xef\xfe]")


def without_metadata(data: bytes) -> bytes | None:
    """Return a JPEG with none but the segments that decoding needs; None where it is not a plain one.

    Plain: 8 bits, one or three components, segments in order, no metadata between scans, and nothing behind
    its end (phones hide a second picture there). Whether it is upright and sRGB is for the caller to know.
    """
    kept, scan = [_SOI], 0
    for marker, start, end in _segments(data):
        if marker == _SOS:
            scan = start
        elif marker in _PLAIN_FRAMES:
            if data[start + 4] != 8 or data[start + 9] not in (1, 3):
                return None
            kept.append(data[start:end])
        elif marker in _TABLES or (marker == _APP14 and data[start + 4 : start + 9] == b"Adobe"):
            kept.append(data[start:end])
        elif marker == _APP0 and data[start + 4 : start + 9] == b"JFIF\0":
            kept.append(_JFIF)
        elif not (_APP0 <= marker <= _APP15 or marker == _COMMENT):
            return None
    ending = _AFTER_A_SCAN.search(data, scan) if scan else None
    if ending is None or ending.start() != len(data) - 2 or data[-1] != 0xD9:
        return None
    kept.append(data[scan:])
    return b"".join(kept)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of the segments up to the first scan; none after one that is malformed."""
    place = 2
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield marker, place, end
        if marker == _SOS:
            return
        place = end
