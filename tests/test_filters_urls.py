"""One spelling per address; blocked domains and addresses."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Drop, Reason
from filters.urls import UrlRules, canonical_url, host_of

ALT_TEXTS = Path("../shared/data/text/alttext/laion_test_10000.jsonl.gz")

CANONICAL = {
    "http://example.com": "http://example.com/",
    "HTTP://EXAMPLE.com/A.JPG": "http://example.com/A.JPG",
    " https://example.com/a.jpg\n": "https://example.com/a.jpg",
    "https://example.com/a\n.jpg": "https://example.com/a.jpg",
    "http://example.com:80/": "http://example.com/",
    "https://example.com:443/": "https://example.com/",
    "https://example.com:/": "https://example.com/",
    "http://example.com:8080/": "http://example.com:8080/",
    "http://example.com:443/": "http://example.com:443/",
    "http://example.com./": "http://example.com/",
    "http://example.com/a#b": "http://example.com/a",
    "http://example.com?q=1": "http://example.com/?q=1",
    "http://example.com/?": "http://example.com/",
    "http://example.com/%7euser/%c3%a9": "http://example.com/~user/%C3%A9",
    "http://example.com/é b": "http://example.com/%C3%A9%20b",
    "http://example.com/50%": "http://example.com/50%25",
    "http://example.com/a%2Fb": "http://example.com/a%2Fb",
    "http://example.com/a/./b/../c": "http://example.com/a/c",
    "http://example.com/../../a": "http://example.com/a",
    "http://example.com/a/%2e%2e/": "http://example.com/",
    "http://example.com//a": "http://example.com//a",
    "http://example.com/a+b?c+d&e=f,g;h": "http://example.com/a+b?c+d&e=f,g;h",
    "http://bücher.example/": "http://xn--bcher-kva.example/",
    "http://例え.テスト/": "http://xn--r8jz45g.xn--zckzah/",
    "http://[::1]:80/a": "http://[::1]/a",
    "http://under_score.example.com/": "http://under_score.example.com/",
}

REFUSED = [
    "",
    "example.com/a.jpg",
    "//example.com/a.jpg",
    "ftp://example.com/a.jpg",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "http://",
    "http:///a.jpg",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://@example.com/",
    "http://exa mple.com/",
    "http://exa%6dple.com/",
    "http://a..b/",
    "http://.example.com/",
    "http://example.com:99999/",
    "http://example.com:0/",
    "http://example.com:port/",
    "http://[::1",
    "http://[fe80::1%25eth0]/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 127 + "com/",
    "http://exa\\mple.com/",
]


@pytest.mark.parametrize(("url", "canonical"), CANONICAL.items())
def test_a_url_has_one_spelling(url: str, canonical: str) -> None:
    assert canonical_url(url) == canonical


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    assert canonical_url(url) is None


@given(st.one_of(st.text(), st.builds("http://{}".format, st.text())))
def test_any_text_is_refused_or_has_a_spelling_that_stays(url: str) -> None:
    once = canonical_url(url)
    assert once is None or canonical_url(once) == once


@given(st.text("/.%25eEfF?#&=é ~:@", max_size=20))
def test_any_path_has_a_spelling_that_stays(path: str) -> None:
    once = canonical_url(f"http://example.com/{path}")
    assert once is not None
    assert once.isascii()
    assert canonical_url(once) == once


def test_real_urls_all_have_a_spelling_that_stays() -> None:
    if not ALT_TEXTS.exists():
        pytest.skip(f"{ALT_TEXTS} is absent: real URLs are not part of the project")
    with gzip.open(ALT_TEXTS, "rt") as lines:
        urls = [json.loads(line)["url"] for line in lines]
    once = [canonical_url(url) for url in urls]
    assert [url for url, spelling in zip(urls, once, strict=True) if spelling is None] == ["UNLIKELY"]
    assert [url and canonical_url(url) for url in once] == once


def test_the_host_comes_without_its_port() -> None:
    assert host_of("http://img.example.com:8080/a.jpg") == "img.example.com"


def test_a_text_without_host_has_the_empty_host() -> None:
    assert [host_of("a.jpg"), host_of("http://[")] == ["", ""]


@pytest.mark.parametrize("domain", ["example.com", ".example.com", "EXAMPLE.com", "Bücher.example"])
def test_a_blocked_domain_covers_what_lies_under_it(domain: str) -> None:
    rules = UrlRules(blocked_domains=(domain,))
    host = host_of(canonical_url(f"http://img.{domain.removeprefix('.')}/a.jpg") or "")
    blocked = rules.check(f"http://{host}/a.jpg")
    assert blocked == Drop(Reason.URL_BLOCKED, f"domain {host.removeprefix('img.')} is on the block list")


def test_a_blocked_domain_does_not_cover_longer_names() -> None:
    assert UrlRules(blocked_domains=("example.com",)).check("http://notexample.com/") is None


def test_a_blocked_url_is_blocked_in_any_spelling() -> None:
    rules = UrlRules(blocked_urls=("HTTP://example.com:80/%7ea.jpg#top",))
    assert rules.check("http://example.com/~a.jpg") == Drop(
        Reason.URL_BLOCKED, "this URL is on the block list"
    )
    assert rules.check("http://example.com/b.jpg") is None


@pytest.mark.parametrize("domain", ["https://example.com", "", "exa mple.com", "example.com/path"])
def test_a_domain_that_could_never_match_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="is no host name: write it as"):
        UrlRules(blocked_domains=(domain,))


def test_a_blocked_url_that_could_never_match_is_refused() -> None:
    with pytest.raises(ValueError, match="is no http or https URL: write it in full"):
        UrlRules(blocked_urls=("example.com/a.jpg",))


def test_the_shipped_list_blocks_pornographic_sites_unless_it_is_left_out() -> None:
    url = "http://img.pornhub.com/a.jpg"
    assert UrlRules().check(url) == Drop(Reason.URL_BLOCKED, "domain pornhub.com is on the block list")
    assert UrlRules(use_shipped_list=False).check(url) is None


@given(
    st.one_of(st.text(st.characters(exclude_categories=())), st.builds("http://{}/a.jpg".format, st.text()))
)
def test_no_url_raises(url: str) -> None:
    rules = UrlRules(blocked_domains=("example.com",))
    rules.check(canonical_url(url) or url)
