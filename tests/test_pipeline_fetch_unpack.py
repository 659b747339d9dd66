"""Packed bodies: each packing, its limit, its breaks; a library that unpacks all at once is the oracle."""

import gzip
import random
import zlib
from collections.abc import Callable

import brotli
import pytest

from filters.reasons import Drop
from pipeline.fetch.unpack import unpack

BODY = random.Random(1).randbytes(3_000) + bytes(3_000)


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "two gzips": ("gzip", lambda data: gzip.compress(data[:2_000]) + gzip.compress(data[2_000:])),
    "gzip by its old name": ("X-Gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("Deflate", bare_deflate),
    "brotli": ("br", brotli.compress),
    "both": ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
}


@pytest.mark.parametrize("name", PACK)
def test_a_packed_body_is_unpacked_up_to_the_limit_and_no_byte_more(name: str) -> None:
    encoding, pack = PACK[name]
    assert unpack(pack(BODY), encoding, 6_000) == BODY
    assert str(unpack(pack(BODY), encoding, 5_999)) == "too_many_bytes: more than 5999 bytes"


@pytest.mark.parametrize("name", [name for name in PACK if name != "two gzips"])
def test_a_packed_body_is_cut_nowhere_without_notice(name: str) -> None:
    encoding, pack = PACK[name]
    packed = pack(BODY)
    cuts = [unpack(packed[:end], encoding, 10_000) for end in range(1, len(packed), 41)]
    assert all(isinstance(cut, Drop) for cut in cuts)


@pytest.mark.parametrize("encoding", ["", "identity", "none", "utf-8", "zstd"])
def test_what_is_not_packed_as_we_know_it_is_left_as_it_is(encoding: str) -> None:
    assert unpack(BODY, encoding, 10) == BODY


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_what_is_not_packed_though_it_says_so_is_malformed(encoding: str) -> None:
    assert str(unpack(b"\xff\xd8\xff\xe0 no such thing", encoding, 10)).startswith("answer_")
    assert unpack(b"", encoding, 10) == b""


def test_what_follows_a_gzip_and_is_none_is_left_out() -> None:
    assert unpack(gzip.compress(BODY) + bytes(99), "gzip", 10_000) == BODY
