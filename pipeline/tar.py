"""Writing tar members: plain ustar headers, every field but name and size fixed, so that bytes repeat."""

from typing import Protocol

BLOCK = 512
# The fields of a header around name and size, which end where the checksum begins and go on behind it.
_OWNER = b"0000644\x000000000\x000000000\x00"  # mode, uid, gid
_MTIME = b"%011o\0" % 0
_REST = (b"0" + b"\0" * 100 + b"ustar\x0000").ljust(BLOCK - 156, b"\0")  # a regular file
# A checksum counts itself as eight spaces.
_FIXED_SUM = sum(_OWNER + _MTIME + b" " * 8 + _REST)


class Appended(Protocol):
    """What a tar is written to: bytes are appended, and it knows how many there are."""

    def write(self, data: bytes, /) -> object: ...
    def tell(self) -> int: ...


def append_member(tar: Appended, name: str, data: bytes) -> int:
    """Append a file to an open tar and return the offset of its bytes. Names are ASCII, below 100 bytes."""
    tar.write(header(name, len(data)))
    offset = tar.tell()
    tar.write(data)
    tar.write(b"\0" * (-len(data) % BLOCK))
    return offset


def member(name: str, data: bytes) -> bytes:
    """Return a small file as a tar holds it, header and padding too."""
    return b"".join((header(name, len(data)), data, b"\0" * (-len(data) % BLOCK)))


def end_tar(tar: Appended) -> None:
    """Write the two empty blocks that end a tar."""
    tar.write(b"\0" * (2 * BLOCK))


def header(name: str, num_bytes: int) -> bytes:
    """Return what stands before a file of this name and size in a tar: one block."""
    assert len(name) < 100, name
    encoded, size = name.encode("ascii"), b"%011o\0" % num_bytes
    checksum = b"%06o\0 " % (_FIXED_SUM + sum(encoded) + sum(size))
    return encoded.ljust(100, b"\0") + _OWNER + size + _MTIME + checksum + _REST
