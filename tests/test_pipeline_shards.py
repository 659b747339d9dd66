"""Shards: the staged tars that their pictures come from."""

from contextlib import closing
from pathlib import Path

from pipeline.shards import MAX_OPEN_TARS, _StagedTars


def test_no_more_staged_tars_are_open_than_allowed_and_none_when_done(tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(MAX_OPEN_TARS + 10)]
    for name in names:
        (tmp_path / f"{name}.tar").write_text(name)
    with closing(_StagedTars(tmp_path)) as tars:
        opened = [tars.open(name) for name in (*names, names[0], names[-1])]
        assert opened[-1].read() == names[-1].encode()
        assert opened[-1] is opened[len(names) - 1]
        assert len({tar for tar in opened if not tar.closed}) == MAX_OPEN_TARS
    assert all(tar.closed for tar in opened)
