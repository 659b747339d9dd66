"""The do-not-fetch list: what each kind of line covers and what it leaves alone."""

from hashlib import md5, sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.do_not_fetch import TAKEN_DOWN, DoNotFetch, read_do_not_fetch
from filters.reasons import Drop, Reason
from manifests.do_not_fetch import caption_line, domain_line, page_line, url_line

LIST = f"""
# Asked for on 2026-01-02
example.com
.dotted.example.org
https://Photos.example.net:443/private/
sha256:{"ab" * 32}
{"CD" * 32}
phash:00000000000000ff
MD5:{"0A" * 16}
{"0b" * 16}
000000ff00000000
https://*.wild.example/*/private/*.JPG
http://old.example/*
*.starred.example
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
        ("https://a.b.wild.example/x/y/private/1.JPG", True),
        ("https://a.wild.example/x/private/y/private/z.JPG", True),
        ("https://a.wild.example/private/1.JPG", False),
        ("https://a.wild.example/x/private/1.jpg", False),
        ("https://a.wild.example/x/private/1.JPG?size=2", False),
        ("https://evil.test/.wild.example/x/private/1.JPG", False),
        ("http://old.example/", True),
        ("http://old.example.test/", False),
        ("http://a.starred.example/", True),
    ],
)
def test_domains_prefixes_and_patterns_cover_what_they_say(url: str, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_url(url) is not None) is blocked


@pytest.mark.parametrize(("digits", "blocked"), [("ab" * 32, True), ("cd" * 32, True), ("ef" * 32, False)])
def test_a_listed_file_is_found_by_its_hash(digits: str, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_file({"sha256": digits}) is not None) is blocked


@pytest.mark.parametrize(("digits", "blocked"), [("0a" * 16, True), ("0b" * 16, True), ("0c" * 16, False)])
def test_a_listed_file_is_found_by_its_md5(digits: str, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_file({"md5": digits}) is not None) is blocked


def test_bytes_are_hashed_in_each_way_that_is_listed() -> None:
    listed = DoNotFetch.parse(f"md5:{md5(b'one').hexdigest()}\n{sha256(b'two').hexdigest()}")
    drops = [listed.check_bytes(data) for data in (b"one", b"two", b"three")]
    assert [drop and drop.detail.split()[0] for drop in drops] == ["md5", "sha256", None]


def test_many_stars_take_no_time_on_a_long_url() -> None:
    listed = DoNotFetch.parse("https://*.example.com/" + "*a" * 12 + "*b")
    assert listed.check_url("https://x.example.com/" + "a" * 20_000) is None


@pytest.mark.parametrize(("bits", "blocked"), [(0, True), (31, True), (32, False)])
def test_a_listed_picture_is_found_within_31_bits_of_pdq(bits: int, blocked: bool) -> None:
    listed = DoNotFetch.parse(f"pdq:{0:064x}")
    assert (listed.check_pdq(f"{(1 << bits) - 1:064x}") is not None) is blocked


@pytest.mark.parametrize(
    ("phash", "blocked"), [(0xFF << 32, True), (0xFF, True), (0xF0, True), (0xE0, False), (1 << 63, False)]
)
def test_a_listed_picture_is_found_within_four_bits(phash: int, blocked: bool) -> None:
    assert (DoNotFetch.parse(LIST).check_phash(phash) is not None) is blocked


@pytest.mark.parametrize(
    "line",
    [
        "example",
        "ftp://example.com/",
        "sha256:abc",
        "phash:12",
        "example.com/path",
        "http://u:p@a.com/",
        "pdq:12",
    ],
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


def slow_match(pattern: str, path: str) -> bool:
    if not pattern.startswith("*"):
        return pattern == path == "" or (pattern[:1] == path[:1] != "" and slow_match(pattern[1:], path[1:]))
    return any(slow_match(pattern[1:], path[cut:]) for cut in range(len(path) + 1))


@given(st.text("ab/*", max_size=7), st.text("ab/", max_size=8))
@settings(max_examples=300, deadline=None)
def test_a_pattern_covers_what_the_slow_version_says(pattern: str, path: str) -> None:
    listed = DoNotFetch.parse(f"https://example.com/*{pattern}")
    assert (listed.check_url(f"https://example.com/{path}") is not None) is slow_match(f"*{pattern}", path)


@given(st.text(max_size=30), st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_line_and_no_url_raises_but_with_the_line_s_number(line: str, url: str) -> None:
    try:
        listed = DoNotFetch.parse(line)
    except ValueError as error:
        assert "line " in str(error)
        return
    listed.check_url(url)
    listed.check_bytes(url.encode(errors="replace"))


def test_what_a_takedown_writes_is_what_is_read_here() -> None:
    url, page, caption = "https://img.a.test/1.jpg", "https://b.test/page#top", "A  Red umbrella"
    for line, pair in (
        (url_line(url), (url, None, "")),
        (domain_line("a.test"), (url, None, "")),
        (domain_line("b.test"), ("https://c.test/", page, "")),
        (page_line(page), ("https://c.test/", "https://b.test/page#bottom", "")),
        (caption_line(caption), ("https://c.test/", None, "a red UMBRELLA ")),
    ):
        assert DoNotFetch.parse(line).check_pair(*pair) == Drop(Reason.TAKEN_DOWN, TAKEN_DOWN), line
        assert (
            DoNotFetch.parse(line).check_pair("https://other.test/2.jpg", "https://other.test/", "a") is None
        )


def test_several_lists_are_read_as_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("example.com")
    two.write_text("example.org\n")
    assert read_do_not_fetch(f"{one},{two}") == DoNotFetch.parse("example.com\nexample.org")
    two.write_text("not a line")
    with pytest.raises(ValueError, match=r"two.txt, line 1"):
        read_do_not_fetch(f"{one},{two}")
