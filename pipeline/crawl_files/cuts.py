"""Crawl files that were cut: readers end quietly where the bytes do, so the end is looked at again."""

import zlib
from typing import IO

from pipeline.crawl_files.encodings import GZIP_MAGIC

MAX_TAIL_BYTES = 64 << 20
RECORD_ENDS = (b"\r\n\r\n", b"\n\n")


def what_is_missing(file: IO[bytes], last_record_at: int | None) -> str | None:
    """Say how a file ends too early, None where it is whole. `last_record_at`: where its last record begins,
    in the bytes of the file, None when there was none. A cut exactly between two records cannot be seen."""
    file.seek(last_record_at or 0)
    tail = file.read(MAX_TAIL_BYTES)
    if last_record_at is None:
        return "holds no record that can be read" if tail else "is empty"
    if tail.startswith(GZIP_MAGIC):
        return _missing_of_gzip(tail)
    if tail.startswith(b"WARC/") and not tail.endswith(RECORD_ENDS):
        return "its last record is cut short"
    return None  # another compression, or one stream over all records: the reader checks these itself


def _missing_of_gzip(tail: bytes) -> str | None:
    unpacker, packed = zlib.decompressobj(zlib.MAX_WBITS | 16), tail
    try:
        while packed and not unpacker.eof:
            unpacker.decompress(packed, 1 << 20)
            packed = unpacker.unconsumed_tail
    except zlib.error as error:
        return f"its last record cannot be unpacked: {error}"
    if not unpacker.eof:
        return "its last record is cut short"
    return "what follows its last record cannot be read" if unpacker.unused_data.strip(b"\0") else None
