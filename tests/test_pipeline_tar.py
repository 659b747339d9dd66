"""Tar members written by hand are what tarfile reads and writes."""

import io
import tarfile

from pipeline.tar import append_member, end_tar


def test_members_read_back_with_names_sizes_and_bytes() -> None:
    members = {"a.jpg": b"x" * 513, "a.txt": b"", "b.json": b"{}" * 256}
    buffer = io.BytesIO()
    offsets = {name: append_member(buffer, name, data) for name, data in members.items()}
    end_tar(buffer)
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        read = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert read == members
    assert all(
        buffer.getvalue()[at : at + len(members[name])] == members[name] for name, at in offsets.items()
    )


def test_a_header_is_the_one_that_tarfile_writes() -> None:
    ours, theirs = io.BytesIO(), io.BytesIO()
    append_member(ours, "0" * 32 + ".jpg", b"data")
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo("0" * 32 + ".jpg")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"data"))
    ours_parsed = tarfile.TarInfo.frombuf(ours.getvalue()[:512], "utf-8", "strict")
    theirs_parsed = tarfile.TarInfo.frombuf(theirs.getvalue()[:512], "utf-8", "strict")
    assert ours_parsed.get_info() == theirs_parsed.get_info()
