"""Which of several mentions of a picture is kept."""

from filters.reasons import Reason
from filters.sampling import pair_id
from pipeline.sample_web.truth import KEPT, Mention, outcomes


def mention(
    url: str, caption: str = "a red cup", data: bytes = b"x", num_pixels: int = 100, group: int = 0
) -> Mention:
    return Mention(
        url=f"http://a.test/{url}",
        caption=caption,
        group=group,
        role="test",
        reason=None,
        data=data,
        num_pixels=num_pixels,
    )


def outcome_by_url(*mentions: Mention) -> dict[str, str]:
    return {row.url.rpartition("/")[2]: row.outcome for row in outcomes(mentions)}


def test_the_copy_of_most_pixels_is_kept_then_of_most_bytes() -> None:
    found = outcome_by_url(
        mention("1", data=b"long one"), mention("2", data=b"xx", num_pixels=200), mention("3", data=b"xxx")
    )
    assert found == {"1": "near_duplicate", "2": KEPT, "3": "near_duplicate"}
    assert outcome_by_url(mention("1"), mention("2", data=b"xx")) == {"1": "near_duplicate", "2": KEPT}


def test_of_equal_bytes_the_smallest_pair_id_is_kept_and_the_others_are_exact() -> None:
    urls = sorted(("1", "2", "3"), key=lambda url: pair_id(f"http://a.test/{url}", "a red cup"))
    found = outcome_by_url(*(mention(url) for url in ("1", "2", "3")))
    assert found == {urls[0]: KEPT, urls[1]: "exact_duplicate", urls[2]: "exact_duplicate"}


def test_copies_of_a_dropped_copy_are_exact_copies_of_it() -> None:
    worse = [mention(url, data=b"w", num_pixels=50) for url in ("1", "2")]
    found = outcome_by_url(mention("3"), *worse)
    assert sorted(found.values()) == ["exact_duplicate", KEPT, "near_duplicate"]


def test_of_several_captions_for_a_url_the_smallest_pair_id_goes_on() -> None:
    captions = sorted(("a red cup", "one cup"), key=lambda caption: pair_id("http://a.test/1", caption))
    rows = outcomes(mention("1", caption) for caption in ("a red cup", "one cup"))
    assert {row.caption: row.outcome for row in rows} == {captions[0]: KEPT, captions[1]: "duplicate_url"}


def test_a_caption_that_is_dropped_before_leaves_its_url_to_the_others() -> None:
    bad = Mention(url="http://a.test/1", caption="cup", group=0, role="test", reason=Reason.CAPTION_TOO_SHORT)
    rows = outcomes([bad, mention("1")])
    assert [row.outcome for row in rows] == ["caption_too_short", KEPT]
