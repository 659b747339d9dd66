"""The sample web's pictures and captions."""

import doctest
import random
from itertools import product
from types import ModuleType

import numpy as np
import pytest

from filters.hashes import hamming, phash
from pipeline.sample_web import captions, commons_api
from pipeline.sample_web.captions import describe, named, search_terms
from pipeline.sample_web.copies import COPIES, PictureHashes, decoded, encoded, near_copy
from pipeline.sample_web.draw import COLOURS, Scene, draw_picture, random_scene
from pipeline.sample_web.places import PLACES
from pipeline.sample_web.things import THINGS

CAPTION_WORDS = """
here you can see simple drawing that what i like most children painted their school
wanted to have we drawn today
a an the this of on in by at with near against front to and is about during for s two three four five we saw
our my favourite holiday picture photo painting album what shows seen walk children book little shade left
placed old wide out deep quiet city tiled mountain summer morning afternoon evening night sunny windy warm
cold grey
"""


def scene(**changes: object) -> Scene:
    fields = {
        "thing": "cup",
        "colour": "red",
        "count": 1,
        "place": "beach",
        "width_px": 320,
        "height_px": 240,
    }
    return Scene(**{**fields, "seed": 7, **changes})  # type: ignore[arg-type]  # the values are fields' own


def test_equal_scenes_give_equal_pixels_and_another_seed_gives_others() -> None:
    first, again, other = (np.asarray(draw_picture(scene(seed=seed))) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_there_are_sixteen_things_ten_colours_and_twelve_places() -> None:
    assert (len(THINGS), len(COLOURS), len(PLACES)) == (12, 10, 12)


@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_shows_its_colour(thing: str) -> None:
    for number, (colour, rgb) in enumerate(COLOURS.items()):
        place = list(PLACES)[number]
        pixels = np.asarray(
            draw_picture(scene(thing=thing, colour=colour, place=place, seed=number)), np.int64
        )
        near = np.abs(pixels - np.array(rgb)).max(axis=2) < 70
        assert near.mean() > 0.01, (colour, near.mean())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_count_finds_room_at_every_place(count: int) -> None:
    sizes = {draw_picture(scene(count=count, place=place)).size for place in PLACES}
    assert sizes == {(320, 240)}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_other_bytes_of_nearly_the_same_hash(kind: str) -> None:
    data = encoded(draw_picture(scene()))
    copy = near_copy(data, kind)
    assert copy != data
    assert hamming(phash(decoded(data)), phash(decoded(copy))) <= 2


def test_a_hash_is_refused_up_to_eight_bits_from_an_earlier_one() -> None:
    hashes = PictureHashes()
    taken = [hashes.add(value) for value in (0, 0xFF, 0x1FF, 0x1FF << 32)]
    assert taken == [True, False, True, True]
    assert hashes.values() == [0, 0x1FF, 0x1FF << 32]


def test_a_caption_says_what_how_many_and_where() -> None:
    assert named(scene(thing="butterfly", colour="orange")) == "an orange butterfly"
    assert named(scene(thing="butterfly", count=3)) == "three red butterflies"
    texts = [describe(scene(count=2, place="lake"), random.Random(seed)).casefold() for seed in range(40)]
    assert all("two red cups" in text for text in texts)
    assert 1 < sum("lake" in text for text in texts) < 20


def test_captions_are_english_words() -> None:
    rng = random.Random(5)
    known = set(" ".join([*THINGS, *COLOURS, *PLACES, *search_terms()]).casefold().split())
    known |= set(CAPTION_WORDS.split())
    for thing, colour in product(THINGS, list(COLOURS)[:3]):
        text = describe(random_scene(rng, thing=thing, colour=colour), rng)
        assert text[0].isupper() and len(text.split()) >= 5
        unknown = set("".join(c if c.isalpha() else " " for c in text.casefold()).split()) - known
        assert not unknown, text


@pytest.mark.parametrize("module", [captions, commons_api])
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0
