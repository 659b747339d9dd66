"""Captions: one spelling, and each limit below, at and above."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.boilerplate import boilerplate_kind, file_name_kind
from filters.reasons import Drop, Reason
from filters.remains import markup_kind, mojibake_kind
from filters.text import CaptionRules, normalise_caption

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=400)

NORMALISED = [
    ("  a \t red\r\n umbrella ", "a red umbrella"),
    ("Tom &amp; Jerry &eacute; &#233; &amp;eacute;", "Tom & Jerry é é é"),
    ("a <b>red</b><br/>umbrella<!-- open -->", "a red umbrella"),
    ("&lt;i&gt;red&lt;/i&gt; umbrella", "red umbrella"),
    ("5 < 6 and 7 > 2", "5 < 6 and 7 > 2"),
    ("I <3 umbrellas", "I <3 umbrellas"),
    ("cafe\u0301", "café"),
    ("soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
    ("a\x00b\x1bc", "a b c"),
    ("lone \ud800 surrogate", "lone surrogate"),
    ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
    ("\u3000全角\u3000", "全角"),
]


@pytest.mark.parametrize(("raw", "caption"), NORMALISED)
def test_a_caption_has_one_spelling(raw: str, caption: str) -> None:
    assert normalise_caption(raw) == caption


@given(ANY_TEXT)
def test_any_text_becomes_clean_text(raw: str) -> None:
    caption = normalise_caption(raw)
    assert caption == unicodedata.normalize("NFC", caption) == " ".join(caption.split())
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in caption)
    caption.encode()


def test_letters_of_plain_captions_are_counted_as_in_all_others() -> None:
    captions = ["A red umbrella, 2 cats!", "1234", "a_b"]
    for caption in captions:
        slow = sum(char.isalpha() for char in caption) / (len(caption) - caption.count(" "))
        assert CaptionRules().measure(caption).letter_share == slow


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="min_distinct_share 4 is no share: give 0 to 1"):
        CaptionRules(min_distinct_share=4)


MARKUP = {
    'a red umbrella <a href="x': "tag",
    "umbrella class='wp-image": "attribute",
    "red &foo; umbrella": "entity",
    "${title} of an umbrella": "template",
    "{product.title}": "template",
    "[caption id=3] red umbrella[/caption]": "shortcode",
    "Jackie Brown [DVD] {recipe}": None,
    "5 < 6 & 7 > 2; 10% = $1": None,
    "I <3 umbrellas": None,
}


@pytest.mark.parametrize(("caption", "kind"), MARKUP.items())
def test_markup_that_is_left_is_known(caption: str, kind: str | None) -> None:
    assert markup_kind(caption) == kind


MOJIBAKE = [("CafÃ© au lait", "Café au lait"), ("The playerâ€™s umbrella", "The player’s umbrella")]


@pytest.mark.parametrize(("raw", "caption"), MOJIBAKE)
def test_what_was_read_in_a_wrong_encoding_is_repaired(raw: str, caption: str) -> None:
    assert normalise_caption(raw) == caption
    assert mojibake_kind(raw) == "wrong characters"
    assert mojibake_kind(caption) is None


@given(ANY_TEXT)
def test_no_caption_raises(raw: str) -> None:
    CaptionRules().check(CaptionRules().measure(raw))


LIMITS = [
    (CaptionRules(), "umbrella", Drop(Reason.CAPTION_TOO_SHORT, "words 1 < 2")),
    (CaptionRules(), "red umbrella", None),
    (CaptionRules(min_words=3), "red umbrella", Drop(Reason.CAPTION_TOO_SHORT, "words 2 < 3")),
    (CaptionRules(), "赤い傘です", None),
    (CaptionRules(), "a cat", None),
    (CaptionRules(), "a ca", Drop(Reason.CAPTION_TOO_SHORT, "characters 4 < 5")),
    (CaptionRules(max_chars=12), "red umbrella", None),
    (CaptionRules(max_chars=11), "red umbrella", Drop(Reason.CAPTION_TOO_LONG, "characters 12 > 11")),
    (CaptionRules(), "red 123", None),  # 3 of 6
    (CaptionRules(), "red 1234", Drop(Reason.CAPTION_FEW_LETTERS, "letters 43% < 50%")),
    (CaptionRules(min_letter_share=0), "1234 5678", None),
    (CaptionRules(), "हैश चिह्न", None),
    (CaptionRules(), "", Drop(Reason.CAPTION_TOO_SHORT, "words 0 < 2")),
    (CaptionRules(), "red_umbrella", Drop(Reason.CAPTION_FILE_NAME, "name with underscores")),
    (CaptionRules(drop_file_names=False), "red_umbrella", None),
    (CaptionRules(), "click to enlarge", Drop(Reason.CAPTION_BOILERPLATE, "invitation")),
    (CaptionRules(drop_boilerplate=False), "click to enlarge", None),
    (CaptionRules(), "New York, New York", None),  # half of them
    (CaptionRules(), "buy buy buy now buy", None),  # two of five
    (CaptionRules(), "buy buy buy buy", Drop(Reason.CAPTION_REPEATED_WORDS, "different words 25% < 40%")),
    (CaptionRules(min_distinct_share=0.25), "buy buy buy buy", None),
    (CaptionRules(), "no no no", None),
    (CaptionRules(), "A {{ color }} umbrella", Drop(Reason.CAPTION_MARKUP, "template")),
    (CaptionRules(drop_markup=False), "A {{ color }} umbrella", None),
    (CaptionRules(), "The players\ufffd umbrella", Drop(Reason.CAPTION_MOJIBAKE, "lost characters")),
    (CaptionRules(drop_mojibake=False), "The players\ufffd umbrella", None),
]


@pytest.mark.parametrize(("rules", "caption", "drop"), LIMITS)
def test_a_caption_is_judged_at_each_limit(rules: CaptionRules, caption: str, drop: Drop | None) -> None:
    assert rules.check(rules.measure(caption)) == drop


@pytest.mark.parametrize("limits", [{"min_chars": 9, "max_chars": 8}, {"min_letter_share": 1.1}])
def test_limits_that_keep_nothing_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keep no caption: give min <= max and a share of 0 to 1"):
        CaptionRules(**limits)  # type: ignore[arg-type]  # wrong values are what is tested


FILE_NAMES = [
    "IMG_2034.JPG",
    "img 2034",
    "DSC00123",
    "DSCN0042 (2)",
    "P1610219.jpg",
    "photo-2.png",
    "a_b_c.jpg",
    "Screen Shot 2016-04-13 at 10.54.04.png",
    "image 3",
    "20-P1610238.jpg",
    "red_umbrella",
    "protesters-pack-into-tahrir-square-",
    "meeting-room-2",
    "Elegant+Princess+Party",
    "Dalamatia%20City,%20the%20City",
    "e7ad9be3fb800800",
    "Fox Crochet Hat.jpg",
]
SENTENCES = [
    "jack-o-lantern",
    "forget-me-not",
    "photo 2 men",
    "image 3 cats on a roof",
    "a red umbrella",
    "12 eggs in a box",
    "Boeing 747-400 at the gate",
    "page boy haircut",
    "The click beetle on a leaf",
    "May 1968 protests in Paris",
    "view of the harbour",
    "open window with a view",
    "photo of a dog",
    "image of a red umbrella",
    "dated 3 May 2010 by hand",
    "show dog in the ring",
    "read the letter, Vermeer",
    "logo of the Pacific Islands Forum",
    "blank stare of a cat",
    "made in a pottery class",
]
BOILERPLATE = [
    "image",
    "Photo 1 of 4",
    "the picture",
    "logo",
    "Image may contain:",
    "thumbnail for version as of 12:30, 3 May 2010",
    "Click to enlarge",
    "[Click here to view full size image]",
    "click image for larger version",
    "View larger",
    "show more…",
    "Share on Facebook",
    "No image available",
    "image placeholder",
    "profile picture",
    "OLYMPUS DIGITAL CAMERA",
    "KODAK Digital Still Camera",
    "SONY DSC",
    "Exif_JPEG_PICTURE",
    "Processed with VSCO with a6 preset",
    "3 May 2010",
    "May 3rd, 2010",
    "Monday, 3 May 2010 at 12:30",
    "2010-05-03",
    "03/05/2010 12:30:15",
    "May 2010",
    "https://example.com/some/page",
    "www.example.com",
    "example.com",
    "untitled",
    "Alt text",
    "N/A",
    "lorem ipsum dolor sit",
    "4.5 out of 5 stars",
    "{\\displaystyle A^{-1}}",
]


@pytest.mark.parametrize("caption", FILE_NAMES)
def test_a_file_name_is_known(caption: str) -> None:
    assert file_name_kind(caption) is not None


@pytest.mark.parametrize("caption", BOILERPLATE)
def test_boilerplate_is_known(caption: str) -> None:
    assert boilerplate_kind(caption) is not None


@pytest.mark.parametrize("caption", SENTENCES)
def test_a_caption_that_only_begins_like_them_is_kept(caption: str) -> None:
    assert (file_name_kind(caption), boilerplate_kind(caption)) == (None, None)
