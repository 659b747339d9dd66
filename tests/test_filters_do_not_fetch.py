"""The do-not-fetch list: what each kind of line covers and what it leaves alone."""

from pathlib import Path

import pytest

from filters.do_not_fetch import DoNotFetch, read_do_not_fetch

LIST = f"""
# Asked for on 2026-01-02
example.com
.dotted.example.org
https://Photos.example.net:443/private/
sha256:{"ab" * 32}
{"CD" * 32}
phash:00000000000000ff
"""


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("http://example.com/", True),
        ("https://img.example.com/a.jpg", True),
        ("http://notexample.com/", False),
        ("http://example.com.evil.test/", False),
        ("http://a.dotted.example.org/", True),
        ("https://photos.example.net/private/a.jpg", True),
        ("https://photos.example.net/private", False),
        ("https://photos.example.net/public/a.jpg", False),
        ("http://photos.example.net/private/a.jpg", False),
    ],
)
def test_domains_cover_what_is_under_them_and_prefixes_what_begins_so(url: str, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_url(url) is not None) is blocked


@pytest.mark.parametrize(("sha256", "blocked"), [("ab" * 32, True), ("cd" * 32, True), ("ef" * 32, False)])
def test_a_listed_file_is_found_by_its_hash(sha256: str, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_file({"sha256": sha256}) is not None) is blocked


@pytest.mark.parametrize(("phash", "blocked"), [(0xFF, True), (0xF0, True), (0xE0, False), (1 << 63, False)])
def test_a_listed_picture_is_found_within_four_bits(phash: int, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_phash(phash) is not None) is blocked


@pytest.mark.parametrize(
    "line",
    ["example", "ftp://example.com/", "sha256:abc", "phash:12", "example.com/path", "http://u:p@a.com/"],
)
def test_a_line_that_could_never_match_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match=r"list.txt, line 2: .* write it as one of these"):
        DoNotFetch.parse(f"# first\n{line}\n", "list.txt")


def test_the_file_is_read_as_it_stands_and_none_is_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("example.com\n")
    assert read_do_not_fetch(str(path)).domains == {"example.com"}
    path.write_text("example.com\nexample.org\n")
    assert read_do_not_fetch(str(path)).domains == {"example.com", "example.org"}
    assert read_do_not_fetch("") == DoNotFetch()


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"fetch.do-not-fetch: .*missing.txt cannot be read"):
        read_do_not_fetch(str(tmp_path / "missing.txt"))
