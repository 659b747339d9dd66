"""robots.txt: the published cases of its standard, and 1,502 real files.

Cases: RFC 9309 (sections named), and those behaviours of Google's published parser tests (google/robotstxt,
robots_test.cc) that test the standard and not Google's additions to it. "us" stands for our own name.
"""

import tarfile
from pathlib import Path

import pytest

from pipeline.fetch.robots import USER_AGENT_TOKEN, RobotsRules

ARCHIVE = Path(__file__).parents[2] / "shared/data/warc/robots/protego_robots_txt.tar.xz"
ORIGIN = "https://www.example.com"


def allowed(rules: str, path: str) -> bool:
    text = rules.replace("us:", f"User-agent: {USER_AGENT_TOKEN}\n").replace("; ", "\n")
    return RobotsRules(200, text.encode()).check(ORIGIN + path) is None


SIMPLE = (  # RFC 9309, 5.1
    "User-Agent: *; Disallow: *.gif$; Disallow: /example/; Allow: /publications/; ; "
    "User-Agent: foobot; Disallow:/; Allow:/example/page.html; Allow:/example/allowed.gif; ; "
    "User-Agent: barbot; User-Agent: bazbot; Disallow: /example/page.html; ; User-Agent: quxbot; "
)
GROUPS = (
    "allow: /foo/bar/; ; user-agent: FooBot; disallow: /; allow: /x/; user-agent: BarBot; disallow: /; "
    "allow: /y/; ; ; allow: /w/; user-agent: BazBot; ; user-agent: FooBot; allow: /z/; disallow: /; "
)


@pytest.mark.parametrize(
    ("agent", "path", "expected"),
    [
        ("nobody", "/picture.gif", False),
        ("nobody", "/picture.gif?x", True),
        ("nobody", "/example/page.html", False),
        ("nobody", "/publications/a.html", True),
        ("nobody", "/elsewhere", True),
        ("foobot", "/example/page.html", True),
        ("foobot", "/example/allowed.gif", True),
        ("foobot", "/example/other.html", False),
        ("foobot", "/", False),
        ("barbot", "/example/page.html", False),
        ("barbot", "/example/other.gif", True),
        ("bazbot", "/example/page.html", False),
        ("quxbot", "/example/page.html", True),
        ("quxbot", "/picture.gif", True),
    ],
)
def test_the_simple_example_of_rfc_9309(agent: str, path: str, expected: bool) -> None:
    assert allowed(SIMPLE.replace(agent, USER_AGENT_TOKEN), path) is expected


@pytest.mark.parametrize(
    ("agent", "path", "expected"),
    [
        ("FooBot", "/x/b", True),
        ("FooBot", "/z/d", True),
        ("FooBot", "/y/c", False),
        ("FooBot", "/foo/bar/", False),
        ("BarBot", "/y/c", True),
        ("BarBot", "/w/a", True),
        ("BarBot", "/z/d", False),
        ("BarBot", "/foo/bar/", False),
        ("BazBot", "/z/d", True),
        ("BazBot", "/foo/bar/", False),
    ],
)
def test_groups_of_one_name_are_one_and_rules_outside_groups_are_none(
    agent: str, path: str, expected: bool
) -> None:
    assert allowed(GROUPS.replace(agent, USER_AGENT_TOKEN), path) is expected


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        # 5.2, the longest match
        ("us:Allow: /example/page/; Disallow: /example/page/disallowed.gif", "/example/page/", True),
        (
            "us:Allow: /example/page/; Disallow: /example/page/disallowed.gif",
            "/example/page/disallowed.gif",
            False,
        ),
        ("us:Disallow: /x/page.html; Allow: /x/", "/x/page.html", False),
        ("us:Allow: /x/page.html; Disallow: /x/", "/x/page.html", True),
        ("us:Allow: /x/page.html; Disallow: /x/", "/x/", False),
        ("us:Disallow: /x; Allow: /x/", "/x", False),
        ("us:Disallow: /x; Allow: /x/", "/x/", True),
        ("us:Allow: /page; Disallow: /*.html", "/page.html", False),
        ("us:Allow: /page; Disallow: /*.html", "/page", True),
        ("us:Allow: /x/page.; Disallow: /*.html", "/x/page.html", True),
        ("us:Allow: /x/page.; Disallow: /*.html", "/x/y.html", False),
        ("us:Allow: /p; Disallow: /", "/page", True),
        ("us:Allow: /$; Disallow: /", "/", True),
        ("us:Allow: /$; Disallow: /", "/page.html", False),
        ("us:Allow: /page; Disallow: /*.htm", "/page.htm", False),
        # 2.2.2, an allow and a disallow that are equal
        ("us:Disallow: /; Allow: /", "/x/page.html", True),
        ("us:Disallow: /x/page.html; Allow: /x/page.html", "/x/page.html", True),
        ("us:Allow: /folder; Disallow: /folder", "/folder/page", True),
        ("us:Disallow: ; Allow: ", "/x/page.html", True),
        # 2.2.2, paths are compared in one case and encoding
        ("us:Disallow: /x/", "/x/y", False),
        ("us:Disallow: /X/", "/x/y", True),
        ("us:Disallow: /; Allow: /foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("us:Disallow: /; Allow: /foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", True),
        (
            "us:Disallow: /; Allow: /foo/bar?q=t&baz=http://foo.bar?t&p",
            "/foo/bar?q=t&baz=http://foo.bar?t&p",
            True,
        ),
        ("us:Disallow: /; Allow: /foo/bar/ツ", "/foo/bar/%E3%83%84", True),
        ("us:Disallow: /; Allow: /foo/bar/%E3%83%84", "/foo/bar/%E3%83%84", True),
        ("us:Disallow: /; Allow: /foo/bar/%62%61%7A", "/foo/bar/baz", True),
        # 2.2.3, special characters
        ("us:Disallow: /foo/quz#qux; Allow: /", "/foo/bar", True),
        ("us:Disallow: /foo/quz#qux; Allow: /", "/foo/quz", False),
        ("us:# Disallow: /; Disallow: /foo/quz; Allow: /", "/foo/bar", True),
        ("us:Disallow: /this/path/exactly$", "/this/path/exactly", False),
        ("us:Disallow: /this/path/exactly$", "/this/path/exactly/not", True),
        ("us:Disallow: /this/*/exactly", "/this/x/exactly", False),
        ("us:Disallow: /this/*/exactly", "/this/x/y", True),
        ("us:Disallow: /foo/bar$; Allow: /foo/bar/qux", "/foo/bar", False),
        ("us:Disallow: /foo/bar$; Allow: /foo/bar/qux", "/foo/bar/", True),
        ("us:Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-*.html", False),
        ("us:Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-x.html", True),
        ("us:Disallow: /path/foo-%24", "/path/foo-$", False),
        ("us:Disallow: /path/foo-%24", "/path/foo-", True),
        # Prefixes, stars and ends
        ("us:Disallow: /; Allow: /fish", "/fish", True),
        ("us:Disallow: /; Allow: /fish", "/fishheads/yummy.html", True),
        ("us:Disallow: /; Allow: /fish", "/fish.html?id=anything", True),
        ("us:Disallow: /; Allow: /fish", "/Fish.asp", False),
        ("us:Disallow: /; Allow: /fish", "/catfish", False),
        ("us:Disallow: /; Allow: /fish", "/?id=fish", False),
        ("us:Disallow: /; Allow: /fish*", "/fishheads", True),
        ("us:Disallow: /; Allow: /fish*", "/?id=fish", False),
        ("us:Disallow: /; Allow: /fish/", "/fish/?salmon", True),
        ("us:Disallow: /; Allow: /fish/", "/fish", False),
        ("us:Disallow: /; Allow: /fish/", "/fish.html", False),
        ("us:Disallow: /; Allow: /*.php", "/folder/filename.php?parameters", True),
        ("us:Disallow: /; Allow: /*.php", "//folder/any.php.file.html", True),
        ("us:Disallow: /; Allow: /*.php", "/index?f=filename.php/", True),
        ("us:Disallow: /; Allow: /*.php", "/php/", False),
        ("us:Disallow: /; Allow: /*.php", "/windows.PHP", False),
        ("us:Disallow: /; Allow: /*.php$", "/folder/filename.php", True),
        ("us:Disallow: /; Allow: /*.php$", "/filename.php?parameters", False),
        ("us:Disallow: /; Allow: /*.php$", "/filename.php5", False),
        ("us:Disallow: /; Allow: /fish*.php", "/fishheads/catfish.php?parameters", True),
        ("us:Disallow: /; Allow: /fish*.php", "/Fish.PHP", False),
        # 2.2.1, which group is ours
        ("User-agent: *; Allow: /; us:Disallow: /", "/x", False),
        ("User-agent: *; Disallow: /x/; us:Disallow: /y/", "/x/page", True),
        ("User-agent: *; Disallow: /x/; us:Disallow: /y/", "/y/page", False),
        ("User-agent: FooBot; Disallow: /", "/x", True),
        ("USER-AGENT: OPENWIT; ALLOW: /x/; DISALLOW: /", "/x/y", True),
        ("uSeR-aGeNt: openWIT; AlLoW: /x/; dIsAlLoW: /", "/a/b", False),
        ("us:Disallow: /a; us:Disallow: /b", "/a", False),
        ("us:Disallow: /a; us:Disallow: /b", "/b", False),
        # 2.1, lines that are no rules
        ("foo: openwit; bar: /", "/x/y", True),
        ("us:Sitemap: https://www.example.com/s.xml; Disallow: /x", "/x", False),
        ("us:Crawl-delay: 10; Disallow: /x", "/x", False),
    ],
)
def test_a_decision_is_the_published_one(rules: str, path: str, expected: bool) -> None:
    assert allowed(rules, path) is expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_each_of_three_ways(end: str) -> None:
    text = end.join([f"User-agent: {USER_AGENT_TOKEN}", "Disallow: /x/", "", "Allow: /x/y"])
    rules = RobotsRules(200, text.encode())
    assert rules.check(f"{ORIGIN}/x/a") is not None
    assert rules.check(f"{ORIGIN}/x/y") is None


@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no real robots.txt files at {ARCHIVE}")
def test_every_real_file_is_parsed_and_decides() -> None:
    decisions = []
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                rules = RobotsRules(200, file.read())
                host = Path(member.name).stem
                decisions += [
                    rules.check(f"https://{host}/{path}") is None for path in ("", "images/a.jpg?w=1")
                ]
    assert len(decisions) == 2 * 1502
    assert 0 < decisions.count(False) < 300
