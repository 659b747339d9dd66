"""Identities and priorities: the same everywhere, and spread evenly."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.sampling import pair_id, priority

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


def test_a_pair_id_is_a_published_value() -> None:
    assert pair_id("https://example.com/a.jpg", "a red umbrella") == "16817dc5538f71b5c661b4ca84ea2651"


def test_a_priority_is_a_published_value() -> None:
    assert priority("a red umbrella", salt="cap") == 13078976280819438932


def test_another_process_gives_the_same_priority() -> None:
    code = "from filters.sampling import priority; print(priority('a red umbrella', salt='cap'))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(printed) == priority("a red umbrella", salt="cap")


@pytest.mark.parametrize("salt", ["", "cap", "x" * 64, "x" * 65])
def test_priorities_fill_64_bits_evenly(salt: str) -> None:
    lower_half = sum(priority(str(number), salt=salt) < 1 << 63 for number in range(1000))
    assert 440 < lower_half < 560


def test_another_salt_gives_another_order() -> None:
    texts = [str(number) for number in range(50)]
    assert sorted(texts, key=priority) != sorted(texts, key=lambda text: priority(text, salt="cap"))


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_has_an_identity_and_a_priority(url: str, caption: str) -> None:
    assert len(pair_id(url, caption)) == 32
    assert 0 <= priority(caption, salt=url) < 1 << 64
