"""English for a scene: what a person would write beside its picture. Also the search terms that find it."""

import random

from pipeline.sample_web.draw import COLOURS, Scene
from pipeline.sample_web.things import THINGS

IRREGULAR_PLURALS = {"fish": "fish", "butterfly": "butterflies"}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
TOWNS = ("Riga", "Verona", "Kyoto", "Oslo", "Lisbon", "Galway")
# The language of a short text is guessed from its letters. Phrases such as "blue keys on a wooden table" are
# often taken for Dutch and left out, as is "in deep snow", at which a classifier of insults hesitates: what
# becomes of them would hang on a limit's last digit.
WHERE: dict[str, tuple[str, ...]] = {
    "wooden table": ("placed on a wooden table", "on the old wooden table"),
    "beach": ("at the beach", "on the beach in summer"),
    "meadow": ("in a meadow", "in a summer meadow"),
    "snow": ("in the snow", "in fresh snow"),
    "night sky": ("against the night sky", "in front of the night sky"),
    "brick wall": ("in front of a brick wall", "against a brick wall"),
    "cloudy sky": ("against a cloudy sky", "in front of a cloudy sky"),
    "city street": ("on a city street", "on a quiet city street"),
    "kitchen floor": ("on the kitchen floor", "on a tiled kitchen floor"),
    "lake": ("by the lake", "by a mountain lake"),
    "desert": ("in the desert", "in a wide desert"),
    "striped carpet": ("in front of a striped carpet", "on the striped carpet"),
}
# Most captions name the thing alone: people seldom write where it stands, and a model that reads of the
# place in every caption can tell pictures apart without learning what they show.
PLAIN_SHARE = 0.85
PLAIN = (
    "This is a photo of {what}",
    "Here you can see {what}",
    "A simple drawing that shows {what}",
    "What you see here is {what}",
    "The picture with {what} that I like most",
    "The children painted {what} for their school",
    "We wanted to have a picture of {what}",
    "This is what we have drawn today: {what}",
)
PLACED = (
    "{what} {where}",
    "{what} {where}.",
    "{what} {where} in {town}",
    "{what} {where}, seen on a walk near {town}",
    "A photo of {what} {where}",
    "A picture of {what} {where} on a {mood} {time}",
    "We saw {what} {where} during our holiday in {town}",
    "My favourite picture shows {what} {where}",
    "{what} {where} on a {mood} {time}",
    "This is what the album is about: {what} {where}",
    "Painting of {what} {where} for a children's book",
    "{what} {where}, with a little shade on the left",
)
MOODS = ("sunny", "windy", "quiet", "warm", "cold", "grey")
TIMES = ("morning", "afternoon", "evening")


def plural(thing: str) -> str:
    """Return the plural of a kind of thing.

    >>> plural("butterfly"), plural("star")
    ('butterflies', 'stars')
    """
    return IRREGULAR_PLURALS.get(thing, f"{thing}s")


def named(scene: Scene) -> str:
    """Return what the scene shows, as a noun phrase: "an orange cup", "three red umbrellas"."""
    if scene.count > 1:
        return f"{NUMBERS[scene.count]} {scene.colour} {plural(scene.thing)}"
    article = "an" if scene.colour[0] in "aeiou" else "a"
    return f"{article} {scene.colour} {scene.thing}"


def capitalised(text: str) -> str:
    """Return the text with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]


def describe(scene: Scene, rng: random.Random, *, other_than: str = "") -> str:
    """Return an English sentence about the scene, another one than `other_than`."""
    while True:
        text = rng.choice(PLAIN if rng.random() < PLAIN_SHARE else PLACED).format(
            what=named(scene),
            where=rng.choice(WHERE[scene.place]),
            town=rng.choice(TOWNS),
            mood=rng.choice(MOODS),
            time="night" if scene.place == "night sky" else rng.choice(TIMES),
        )
        if capitalised(text) != other_than:
            return capitalised(text)


def title_of(scene: Scene, number: int) -> str:
    """Return a title that no other picture has: "A red umbrella at the beach, drawing 00042"."""
    return capitalised(f"{named(scene)} {WHERE[scene.place][0]}, drawing {number:05d}")


def search_terms() -> list[str]:
    """Return the terms that the sample web is searched for: things, things of each colour, places, towns."""
    things = [word for thing in THINGS for word in (thing, plural(thing))]
    coloured = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS]
    return list(dict.fromkeys([*things, *coloured, *WHERE, *TOWNS]))
