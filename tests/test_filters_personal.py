"""Personal data: addresses and numbers that are, and numbers that only look like it."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.personal import PersonalData
from filters.reasons import Drop, Reason

ALT_TEXTS = Path("../shared/data/text/alttext/laion_test_10000.jsonl.gz")
EMAILS = [
    "write to jane.doe@example.com",
    "jane@example.co.uk!",
    "jane (at) example.com",
    "jane [at] example.com",
]
TELEPHONES = [
    "+44 20 7946 0958",
    "Repairs (555) 123-4567",
    "Repairs 555-123-4567",
    "Repairs 1-800-555-1234",
    "call 020 7946 0958",
    "Tel.: 0221/1234567",
    "call 1234567",  # seven digits are the least
    "+123456789012345",  # and fifteen the most
]
NEITHER = [
    "call 123456",
    "+1234567890123456",
    "ISBN 978-0-306-81393-1",
    "3 May 2010 12:30:15",
    "2019-01-27 River vs Patronato 00187",
    "$1,234,567 sold at auction",
    "Part 5-6777867",
    "@jane on Instagram",
    "burgers @ home.",
    "1920x1080 3840x2160",
    "phone case iPhone 11 12 13",
]


@pytest.mark.parametrize("caption", EMAILS)
def test_an_email_address_is_found(caption: str) -> None:
    assert PersonalData().measure(caption) == ("an e-mail address",)


@pytest.mark.parametrize("caption", TELEPHONES)
def test_a_telephone_number_is_found(caption: str) -> None:
    assert PersonalData().measure(caption) == ("a telephone number",)


@pytest.mark.parametrize("caption", NEITHER)
def test_other_numbers_and_signs_are_neither(caption: str) -> None:
    assert PersonalData().measure(caption) == ()


def test_the_detail_says_what_sort_and_does_not_repeat_it() -> None:
    both = PersonalData().measure("jane@example.com, +44 20 7946 0958")
    drop = Drop(Reason.CAPTION_PERSONAL_DATA, "holds an e-mail address and a telephone number")
    assert PersonalData().check(both) == drop
    assert PersonalData(emails=False, telephones=False).check(both) is None
    only = PersonalData(emails=False).check(both)
    assert only == Drop(Reason.CAPTION_PERSONAL_DATA, "holds a telephone number")


@given(st.text(st.characters(exclude_categories=())))
def test_no_caption_raises(caption: str) -> None:
    PersonalData().check(PersonalData().measure(caption))


def test_of_real_alt_texts_four_hold_personal_data() -> None:
    if not ALT_TEXTS.exists():
        pytest.skip(f"{ALT_TEXTS} is absent: third-party texts are not part of the project")
    with gzip.open(ALT_TEXTS, "rt") as lines:
        captions = [json.loads(line)["text"] for line in lines]
    # Three are telephone numbers of shops; one is a message of a trading system, full of numbers.
    assert sum(map(bool, PersonalData().measure_all(captions))) == 4
