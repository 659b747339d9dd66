"""PDQ against the hashes that its makers publish, and their regression pictures on a block list."""

import re
from pathlib import Path

import pytest
from PIL import Image

from filters import pdq
from filters.do_not_fetch import DoNotFetch, read_do_not_fetch
from filters.hashes import hamming, phash
from filters.pdq import pdq_of

PDQ = Path("../shared/data/neardup/pdq")


@pytest.fixture
def pictures() -> Path:
    pytest.importorskip("pdqhash", reason="pdqhash is not installed: PDQ is an extra")
    if not PDQ.exists():
        pytest.skip(f"{PDQ} is absent: third-party pictures are not part of the project")
    return PDQ


def test_hashes_are_those_that_its_makers_publish(pictures: Path) -> None:
    told = re.findall(
        r"([0-9a-f]{64}),\S*dih/(\S+jpg)", (pictures / "expected_hashes_cpp_bin_README.md").read_text()
    )
    found = {name: pictures / "reg-test-input/dih" / name for _, name in told}
    found = {name: path for name, path in found.items() if path.exists()}
    assert len(found) == 4
    for digits, name in told:
        if name in found:
            with Image.open(found[name]) as image:
                assert hamming(int(pdq_of(image), 16), int(digits, 16)) <= 8, name


@pytest.mark.parametrize("kind", ["pdq", "phash"])
def test_a_list_finds_the_copies_of_a_photo_and_neither_its_mirrors_nor_others(
    pictures: Path, kind: str
) -> None:
    with Image.open(pictures / "bridge-mods/aaa-orig.jpg") as original:
        digits = pdq_of(original) if kind == "pdq" else f"{phash(original):016x}"
    listed = DoNotFetch.parse(f"{kind}:{digits}")
    found = {True: 0, False: 0}
    for path in sorted(pictures.rglob("*.jpg")):
        with Image.open(path) as image:
            drop = listed.check_pdq(pdq_of(image)) if kind == "pdq" else listed.check_phash(phash(image))
        assert (drop is not None) == (path.parent.name in ("bridge-mods", "modes")), path
        found[drop is not None] += 1
    assert found == {True: 10, False: 13}


def test_a_list_of_pdq_without_its_package_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text(f"pdq:{1:064x}\n")
    monkeypatch.setattr(pdq, "PACKAGE", "no_such_package")
    with pytest.raises(ValueError, match=r"pdq: entries, and the package no_such_package is not installed"):
        read_do_not_fetch(str(tmp_path / "list.txt"))
