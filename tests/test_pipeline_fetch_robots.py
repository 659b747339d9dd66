"""What site owners allow: robots.txt in each of its forms and answers, X-Robots-Tag in each spelling."""

import doctest
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

import pipeline.fetch.answers
import pipeline.fetch.guard
import pipeline.fetch.robots
import pipeline.fetch.tdm
import pipeline.fetch.unpack
from filters.reasons import Drop, Reason
from pipeline.fetch.client import open_client
from pipeline.fetch.robots import MAX_ROBOTS_BYTES, RobotsRules, check_opt_out
from pipeline.limits import Fetch, Network
from pipeline.sample_web.server import Resource, Web, serving

LIMITS = Fetch(timeout_s=5, max_tries=1, max_bytes=1_000, per_host_interval_s=0.0)
REAL_ROBOTS = Path(__file__).parent.parent / "../shared/data/warc/robots/protego_robots_txt.tar.xz"
PICTURE = "http://a.sample.test/photos/cup.jpg"


async def outcome(robots: Resource, picture: Resource | None = None, limits: Fetch = LIMITS) -> str:
    """What becomes of PICTURE where robots.txt answers so: the reason, or "kept"."""
    content = Web()
    content.add("http://a.sample.test/robots.txt", robots)
    content.add(PICTURE, picture or Resource(body=b"cup"))
    content.add("http://a.sample.test/elsewhere.txt", Resource(body=b"User-agent: *\nDisallow: /photos\n"))
    with serving(content) as served:
        async with open_client(Network(connect_to=served.connect_to), limits) as client:
            answer = await client.download(PICTURE)
    return str(answer.reason) if isinstance(answer, Drop) else "kept"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, "kept"),
        (403, "kept"),
        (401, "kept"),
        (410, "kept"),
        (429, "robots_disallowed"),
        (500, "robots_disallowed"),
        (503, "robots_disallowed"),
        (501, "robots_disallowed"),
        (204, "kept"),
    ],
)
async def test_the_status_of_robots_txt_decides_as_rfc_9309_says(status: int, expected: str) -> None:
    assert await outcome(Resource(status=status)) == expected


async def test_a_robots_txt_that_has_moved_is_followed() -> None:
    assert await outcome(Resource(status=301, headers={"Location": "/elsewhere.txt"})) == "robots_disallowed"


async def test_a_robots_txt_that_goes_in_circles_forbids() -> None:
    assert await outcome(Resource(status=301, headers={"Location": "/robots.txt"})) == "robots_disallowed"


async def test_a_robots_txt_that_is_never_whole_gives_its_own_reason() -> None:
    limits = Fetch(timeout_s=0.3, max_tries=1, per_host_interval_s=0.0)
    assert await outcome(Resource(flow="drip"), limits=limits) == "timeout"
    assert await outcome(Resource(flow="reset"), limits=limits) == "connection_failed"


async def test_rules_are_read_up_to_half_a_megabyte_and_beyond_it_all_is_forbidden() -> None:
    rules = b"User-agent: *\nDisallow: /other\n#"
    assert await outcome(Resource(body=rules.ljust(MAX_ROBOTS_BYTES, b"x"))) == "kept"
    assert await outcome(Resource(body=rules.ljust(MAX_ROBOTS_BYTES + 1, b"x"))) == "robots_disallowed"


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ("", True),
        ("User-agent: *\nDisallow:", True),
        ("User-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow: /photos/", False),
        ("User-agent: *\nDisallow: /photos/cup.jpg$", False),
        ("User-agent: *\nDisallow: /photos/cup$", True),
        ("User-agent: *\nDisallow: /*.jpg$", False),
        ("User-agent: *\nDisallow: /*.png$", True),
        ("User-agent: *\nDisallow: /PHOTOS/", True),
        ("User-agent: *\nDisallow: /photos/\nAllow: /photos/cup", True),
        ("User-agent: *\nAllow: /photos/\nDisallow: /photos/cup", False),
        ("User-agent: *\nDisallow: /photos/\nAllow: /photos/", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: openwit\nAllow: /", True),
        ("User-agent: *\nAllow: /\n\nUser-agent: OpenWIT\nDisallow: /", False),
        ("User-agent: otherbot\nDisallow: /", True),
        ("User-agent: otherbot\nUser-agent: openwit\nDisallow: /", False),
        ("User-agent: openwit-news\nDisallow: /", True),
        ("\ufeffUser-agent: *\nDisallow: /", False),
        ("User-agent: *\r\nDisallow: /photos/\r\n", False),
        ("user-agent:*\ndisallow:/photos # ours", False),
        ("User-agent: *\nDisallow: /%70hotos/", False),
        ("Disallow: /", True),
        ("<html>Not here</html>", True),
        ("User-agent: *\nCrawl-delay: soon\nSitemap:\nDisallow: /photos", False),
    ],
)
def test_rules_hold_as_they_are_written(rules: str, allowed: bool) -> None:
    assert (RobotsRules(200, rules.encode()).check(PICTURE) is None) is allowed


@pytest.mark.parametrize(
    "body", [bytes(range(256)) * 4, b"\xff\xfe" * 500, b"User-agent: *\nDisallow: [(*" * 9]
)
def test_bytes_that_are_no_rules_do_no_harm(body: bytes) -> None:
    drop = RobotsRules(200, body).check(PICTURE)
    assert drop is None or drop.reason == Reason.ROBOTS_DISALLOWED


def test_every_robots_txt_of_1500_real_sites_is_read_and_most_allow_pictures() -> None:
    if not REAL_ROBOTS.is_file():
        pytest.skip(f"{REAL_ROBOTS} is not there: these are other people's files and not ours to ship")
    with tarfile.open(REAL_ROBOTS) as tar:
        bodies = [file.read() for member in tar if (file := tar.extractfile(member)) is not None]
    drops = [RobotsRules(200, body).check("http://a.example/images/cup.jpg") for body in bodies]
    assert len(drops) > 1_000
    assert 0.9 < drops.count(None) / len(drops) < 1


@pytest.mark.parametrize(
    ("tags", "opted_out"),
    [
        ([], False),
        (["noai"], True),
        (["noimageai"], True),
        (["noindex"], True),
        (["noimageindex"], True),
        (["none"], True),
        (["all"], False),
        (["NoArchive, NoAI"], True),
        (["noarchive", "noai"], True),
        (["nofollow, noarchive, nosnippet"], False),
        (["openwit: noai"], True),
        (["OpenWIT: NoAI"], True),
        (["otherbot: noai"], False),
        (["otherbot: noai, noindex"], False),
        (["otherbot: nofollow, noai"], False),
        (["otherbot: noai, openwit: noindex"], True),
        (["otherbot: noai", "noindex"], True),
        (["max-snippet: 20, noai"], True),
        (["max-image-preview: none"], False),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
        ([""], False),
        ([":, ,"], False),
    ],
)
def test_an_opt_out_is_found_in_each_spelling_and_only_where_it_is_meant_for_us(
    tags: list[str], opted_out: bool
) -> None:
    assert (check_opt_out(tags) is not None) is opted_out


async def test_an_opt_out_keeps_a_picture_out_unless_the_operator_says_otherwise() -> None:
    none, shy = Resource(status=404), Resource(body=b"cup", headers={"X-Robots-Tag": "noai"})
    careless = Fetch(per_host_interval_s=0.0, respect_opt_out=False)
    assert await outcome(none, shy) == "opted_out"
    assert await outcome(none, shy, careless) == "kept"


@pytest.mark.parametrize(
    "module",
    [
        pipeline.fetch.answers,
        pipeline.fetch.guard,
        pipeline.fetch.robots,
        pipeline.fetch.tdm,
        pipeline.fetch.unpack,
    ],
)
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
