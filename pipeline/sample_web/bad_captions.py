"""Captions that a build must drop, by the reason that it must give, each written as the web writes them."""

import random

from filters.reasons import Reason
from pipeline.sample_web.captions import TOWNS, named
from pipeline.sample_web.draw import Scene

# None of these holds a search term as a whole word.
WITHOUT_TERM = (
    "Minutes of the committee meeting last Thursday",
    "Portrait of our grandmother in her armchair",
    "The orchestra during the second half of the concert",
    "Chart of monthly sales for the northern region",
    "Students listening to a lecture about medieval history",
    "Our new office seen from the main entrance",
    "A page from the diary of a ship's doctor",
    "Signature of the author on the first edition",
    "The winning team celebrates after the final",
    "Close view of hand-woven linen fabric",
    "Screenshot of the settings dialog in the latest version",
    "Cover of the annual report with the company logo",
)
# What a camera, a tool or a person in a hurry leaves where a caption should be.
FILE_NAMES = (
    "{colour} {thing} {number}.jpg",
    "{colour} {thing} final {number}.png",
    "{thing} copy {number}.jpeg",
)
BARE_FILE_NAMES = ("IMG_{number}.JPG", "DSC0{number}.jpg", "scan-{number}.png")
BOILERPLATE = (
    "Click to enlarge the {colour} {thing}",
    "Tap to view the {colour} {thing}",
    "Click here to view {colour} {thing}",
)
FEW_LETTERS = (
    "{thing} 12 / 34 / 56 - 7890 : 4421 - 0987 + 112",
    "{thing} #4711 $19.99 (-30%) 1234567890 *** 08/15",
)
UNSAFE = (
    "Free porn videos with {what} in the background",
    "Hardcore porn pictures, hidden behind {what}",
    "XXX porn movies and {what} for adults only",
)
# language: (sentences, the words that put one of them into a town)
FOREIGN: dict[str, tuple[tuple[str, ...], str]] = {
    "de": (
        (
            "Ein roter Regenschirm steht{town} neben einer alten Mauer",
            "Drei gelbe Autos parken{town} vor dem Rathaus und warten auf ihre Fahrer",
            "Der kleine weiße Vogel sitzt{town} auf einem hölzernen Zaun",
        ),
        " in {name}",
    ),
    "fr": (
        (
            "Un parapluie rouge posé sur une vieille table en bois{town}",
            "Trois petites voitures jaunes garées devant la mairie{town}",
            "Une belle fleur blanche photographiée au printemps{town}",
        ),
        " à {name}",
    ),
    "es": (
        (
            "Un paraguas rojo apoyado sobre una mesa de madera{town}",
            "Dos barcos azules navegan cerca de la costa{town} al atardecer",
            "La casa amarilla de mis abuelos vista desde el jardín{town}",
        ),
        " en {name}",
    ),
    "it": (
        (
            "Un ombrello rosso appoggiato su un vecchio tavolo di legno{town}",
            "Due barche azzurre ormeggiate vicino alla riva del lago{town}",
            "Una piccola casa gialla circondata dagli alberi{town}",
        ),
        " a {name}",
    ),
    "pt": (
        (
            "Um guarda-chuva vermelho em cima de uma mesa de madeira{town}",
            "Uma pequena casa amarela rodeada de flores brancas{town}",
        ),
        " em {name}",
    ),
    "nl": (
        (
            "Een rode paraplu staat naast een oude bakstenen muur{town}",
            "Het kleine witte huisje aan het water werd vorig jaar geschilderd{town}",
        ),
        " in {name}",
    ),
    "pl": (
        (
            "Czerwony parasol leży na starym drewnianym stole{town}",
            "Trzy żółte samochody stoją przed ratuszem{town} i czekają na kierowców",
        ),
        " w mieście {name}",
    ),
    "tr": (
        (
            "Eski ahşap masanın üzerinde duran kırmızı şemsiye{town}",
            "Küçük sarı ev yüksek ağaçların arasında güzel görünüyor{town}",
        ),
        ", {name}",
    ),
    "ru": (
        (
            "Красный зонт лежит на старом деревянном столе{town}",
            "Маленький белый дом стоит на берегу тихого озера{town}",
        ),
        " в городе {name}",
    ),
    "zh": (
        ("木桌上放着一把红色的雨伞，旁边有一杯咖啡{town}", "湖边停着三艘白色的小船，天空非常晴朗{town}"),
        " 摄于 {name}",
    ),
    "ja": (
        ("木のテーブルの上に赤い傘が置いてあります{town}", "湖のほとりに白い小さな家が建っています{town}"),
        " {name} にて",
    ),
}


def foreign(rng: random.Random, *, with_term: bool) -> str:
    """Return a sentence that is not English, which names a town of the search terms or none at all."""
    sentences, place = rng.choice(list(FOREIGN.values()))
    town = place.format(name=rng.choice(TOWNS)) if with_term else ""
    return rng.choice(sentences).format(town=town)


def without_term(rng: random.Random) -> str:
    """Return a caption in which no search term occurs: English, another language, or a camera's file name."""
    kind = rng.randrange(4)
    if kind == 0:
        return foreign(rng, with_term=False)
    if kind == 1:
        return rng.choice(BARE_FILE_NAMES).format(number=rng.randint(1000, 9999))
    return rng.choice(WITHOUT_TERM)


def bad_caption(reason: Reason, scene: Scene, rng: random.Random) -> str:
    """Return a caption for the scene that the build drops with this reason of the match or text stage."""
    if reason == Reason.NO_QUERY:
        return without_term(rng)
    if reason == Reason.CAPTION_LANGUAGE:
        return foreign(rng, with_term=True)
    templates = {
        Reason.CAPTION_TOO_SHORT: ("{thing}",),
        Reason.CAPTION_FILE_NAME: FILE_NAMES,
        Reason.CAPTION_BOILERPLATE: BOILERPLATE,
        Reason.CAPTION_FEW_LETTERS: FEW_LETTERS,
        Reason.CAPTION_UNSAFE: UNSAFE,
    }[reason]
    number = rng.randint(1000, 9999)
    text = rng.choice(templates)
    return text.format(colour=scene.colour, thing=scene.thing, number=number, what=named(scene))
