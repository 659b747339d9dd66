"""Writing tar members: plain ustar headers, every field but name and size fixed, so that bytes repeat."""

from typing import IO

BLOCK = 512


def append_member(tar: IO[bytes], name: str, data: bytes) -> int:
    """Append a file to an open tar and return the offset of its bytes. Names are ASCII, below 100 bytes."""
    assert len(name) < 100, name
    tar.write(_header(name, len(data)))
    offset = tar.tell()
    tar.write(data)
    tar.write(b"\0" * (-len(data) % BLOCK))
    return offset


def end_tar(tar: IO[bytes]) -> None:
    """Write the two empty blocks that end a tar."""
    tar.write(b"\0" * (2 * BLOCK))


def _header(name: str, num_bytes: int) -> bytes:
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        b"0000644\0",  # mode
        b"0000000\0",  # uid
        b"0000000\0",  # gid
        b"%011o\0" % num_bytes,
        b"%011o\0" % 0,  # mtime
        b" " * 8,  # the checksum counts itself as spaces
        b"0",  # a regular file
        b"\0" * 100,
        b"ustar\x0000",
        b"\0" * 247,
    )
    header = b"".join(fields)
    assert len(header) == BLOCK, len(header)
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]
