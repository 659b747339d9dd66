"""Harmless sentences about people, animals, things and places: what labelled comments hold too few of.

Where comments name a people, an animal or a colour, they often insult: a classifier that sees nothing else
takes the words themselves for insults ("unintended bias", Dixon et al. 2018). These sentences say the same
words without harm. They are made from the lists below, and are the same each time.
"""

import random


def _words(lines: str) -> tuple[str, ...]:
    return tuple(lines.split())


_SENTENCES = (
    "{a} {thing}",
    "{a} {thing} in {place}",
    "{a} {thing} and {b} {thing2}",
    "a photo of {b} {thing}",
    "a drawing of {a} {thing}",
    "what we saw here was {b} {thing}",
    "what you can see is {b} {thing} in {place}",
    "you can see {b} {thing} here",
    "here is {b} {thing} that i like",
    "we wanted to see {b} {thing} in {place}",
    "the children have made {b} {thing}",
    "they painted {b} {thing} for their friends",
    "this is what it looks like, {b} {thing}",
    "my {thing} and your {thing2}",
    "have you seen the {a} {thing}",
    "{people} family in {place}",
    "{people} {person} with {b} {thing}",
    "{people} {person} smiling in {place}",
    "portrait of a {people} {person}",
    "a {people} wedding in {place}",
    "the {people} {person} and the {people2} {person2}",
    "{people} food and music",
    "{person} holding {b} {thing}",
)
_A = _words(
    """
    white black red blue green yellow orange brown purple pink grey golden silver big small fat thin old
    young new dirty clean ugly beautiful cheap cute dumb crazy rich poor little long wooden plastic hot
    cold dead wild
    """
)
_THING = _words(
    """
    horse dog cat cow pig monkey ape rat snake donkey goat sheep bird peacock raccoon chicken rooster
    hen fox bear wolf lion tiger fish whale shark bee spider butterfly mouse rabbit cup key balloon
    umbrella house tree star car mushroom chair table bed lamp door window boat ship train bus truck
    tractor bicycle plane gun knife sword bomb trash bin garbage can bag hat shirt shoe dress skirt bra
    sock glove ring watch phone laptop book poster picture painting card stamp coin flag statue church
    mosque temple castle bridge road street tower flower rose leaf grass fruit banana apple melon cherry
    peach nut cheese bread cake cookie pie cracker ball hoe rake hose pump screw hook head hands eyes
    hair nose mouth heart brain bone skull tooth back tail
    """
)
_PLACE = (
    "hong kong",
    "china",
    "africa",
    "mexico",
    "israel",
    "palestine",
    "russia",
    "india",
    "japan",
    "america",
    "germany",
    "the city",
    "the ghetto",
    "the desert",
    "the kitchen",
    "the garden",
    "the park",
    "the hood",
    "jail",
    "church",
    "school",
    "the mountains",
    "the trash",
    "the toilet",
    "the bathroom",
    "bed",
)
_PEOPLE = _words(
    """
    black white asian african american mexican chinese japanese indian arab muslim jewish christian
    catholic hindu buddhist russian polish irish german french italian turkish gay lesbian transgender
    straight blind deaf disabled old young fat native immigrant refugee homeless queer liberal
    conservative democrat republican
    """
)
_PERSON = _words(
    """
    man woman men women boy girl boys girls child children couple people person mother father player
    """
)


def plain_sentences(num: int) -> list[str]:
    """Return so many sentences, the same each time."""
    rng = random.Random(0)
    return [_sentence(rng) for _ in range(num)]


def _sentence(rng: random.Random) -> str:
    a = rng.choice(_A)
    return rng.choice(_SENTENCES).format(
        a=a,
        b=f"{'an' if a[0] in 'aeiou' else 'a'} {a}",
        thing=rng.choice(_THING),
        thing2=rng.choice(_THING),
        place=rng.choice(_PLACE),
        people=rng.choice(_PEOPLE),
        people2=rng.choice(_PEOPLE),
        person=rng.choice(_PERSON),
        person2=rng.choice(_PERSON),
    )
