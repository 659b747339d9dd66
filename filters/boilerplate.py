"""Captions that say nothing of their picture: what cameras, content systems and designers leave behind."""

import re

_IMAGE_ENDING = r"\.(?:jpe?g|jfif|png|gif|webp|bmp|tiff?|svg|heic|avif|raw|cr2|nef)"
_CAMERA_NAME = (
    r"(?:img|dsc[fn_]?|dscn|dcim|pict|pic|mvi|vid|gopr|dji|pxl|wp|hpim|imgp|imag|cimg|sam|kif|"
    r"photo|image|picture|foto|scan|screen ?shot|untitled|whatsapp image|file|page|slide|figure|fig)"
)
_FILE_NAMES = {
    "image ending": re.compile(rf"\S.*{_IMAGE_ENDING}", re.I | re.S),
    "camera name": re.compile(
        rf"{_CAMERA_NAME}[\s_().#-]*[\d\s_().:x-]*\d\)?(?:[ _-]?(?:copy|edit(?:ed)?|web|\w))?", re.I
    ),
}
_WORDS_OF_FILE_NAMES = {  # none of these has a space
    "name with underscores": re.compile(r"\S*\w_\w\S*"),
    "name with hyphens": re.compile(r"[^\s:/]*\w(?:-+\w+){3,}\S*"),
    "name with hyphens and digits": re.compile(r"(?=\D*\d)[^\s:/]*\w(?:-+\w+){2,}\S*"),
    "encoded name": re.compile(r"[^\s:/]*\w(?:[,.']?(?:%20|\+)\w+){2,}\S*"),
    "code": re.compile(r"(?=\S*\d)(?=\S*[a-z])[a-z0-9-]{12,}", re.I),
}

_NAMES = r"(?:image|picture|photo(?:graph)?|pic|img|thumb(?:nail)?|graphic|figure|icon|logo|banner)"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,? )?"
_TIME = r"(?:(?:,| at| -)? ?\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]\.?m\.?)?)?"
_YEAR = r"(?:18|19|20)\d\d"
_BOILERPLATE = {
    "date": re.compile(
        rf"{_DAY}(?:\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}(?:,? {_YEAR})?|"
        rf"{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? {_YEAR})?|{_MONTH},? {_YEAR}|"
        rf"\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}){_TIME}",
        re.I,
    ),
    "address": re.compile(r"(?:https?://|www\.)\S+|[\w.-]+\.(?:com|org|net|info|io|co\.uk|de|fr|jp)/?", re.I),
    "camera": re.compile(
        r"(?:olympus|kodak|samsung|minolta|sony|konica|nikon|canon|casio|fuji(?:film)?|polaroid|vivitar)?"
        r" ?(?:digital (?:still )?camera|dsc|exif[ _]jpeg[ _](?:picture|\d+)|dcf 1\.0|camera phone)",
        re.I,
    ),
    "made with": re.compile(
        r"(?:processed|created|made|edited|resized) (?:with|by|using|in) (?:the )?"
        r"(?:gimp|vsco|photoshop|adobe|canva|snapseed|instagram|lightroom|picasa|pixlr|camera\+).*",
        re.I,
    ),
    "placeholder": re.compile(
        rf"{_NAMES} (?:placeholder|not found|not available|unavailable|coming soon)|"
        rf"(?:no|missing|default|empty|blank|broken|placeholder|sample|loading|main|featured?|cover|"
        rf"header|profile|product|post|article|background|hero|user|author|gallery|preview|small|"
        rf"large|full[ -]?size)"
        rf"(?: (?:product|post|article|profile|user|blog|size))? {_NAMES}s?"
        rf"(?: (?:not )?(?:available|found|here|yet|placeholder|set|selected|description))?",
        re.I,
    ),
    "invitation": re.compile(
        r"(?:please )?(?:click|tap|hover|roll over|scroll)(?: here| on)?"
        r"(?: (?:this|the|image|photo|picture|thumbnail|icon|it))*"
        r"(?: (?:to|for|in order to) (?:a )?[\w-]+(?: [\w-]+){0,5})?|"
        r"(?:view|see|show|open|enlarge|zoom|share|save|print|download|read)"
        r"(?: (?:a|an|the|this|full|larger|large|bigger|more|all|in|on|to))*"
        r"(?: (?:image|photo|picture|version|size|screen|details?|gallery|here|facebook|twitter|pinterest|"
        r"info(?:rmation)?))*|"
        r"(?:download|get it|available) (?:on|from) (?:the )?(?:apple )?(?:app store|google play)",
        re.I,
    ),
    "formula": re.compile(r"\{\\displaystyle.*", re.S),
    "rating": re.compile(r"(?:rated )?\d(?:\.\d+)? ?(?:(?:out )?of|/) ?\d+(?:\.0)?(?: stars?)?", re.I),
    "version": re.compile(r"thumbnail (?:for|of) (?:the )?version (?:as )?of .*", re.I),
    "numbered": re.compile(
        rf"(?:(?:a|an|the|this|our|alt|title|text|description|caption) )*{_NAMES}s?"
        rf"(?: (?:for|of|from|in|about|may contain))?:?(?: (?:no\.?|number|#))? ?#?\d*(?: (?:of|/) \d+)?",
        re.I,
    ),
    "empty": re.compile(
        r"(?:alt(?:ernat(?:e|ive))?[ -]?text|untitled(?: document| design| \d+)?|null|none|undefined|n/?a|"
        r"lorem ipsum.*|advertisement|sponsored|spacer|pixel|tracking pixel|avatar|gravatar|favicon|"
        r"captcha|user avatar|my avatar|site logo|company logo|menu|home ?page|search|loading|slide(?:show)?|"
        r"new window|(?:next|previous) (?:page|slide|image|photo))",
        re.I,
    ),
}
_AROUND = " .!…:;|()[]<>»›→*-–—\"'"


def file_name_kind(caption: str) -> str | None:
    """Return what makes a caption a file's name rather than a sentence, or None.

    >>> file_name_kind("IMG_2034.JPG"), file_name_kind("DSC00123"), file_name_kind("jack-o-lantern")
    ('image ending', 'camera name', None)
    """
    kind = _first_match(_FILE_NAMES, caption)
    return kind if kind or " " in caption else _first_match(_WORDS_OF_FILE_NAMES, caption)


def boilerplate_kind(caption: str) -> str | None:
    """Return what sort of boilerplate the whole caption is, or None. Signs around it do not matter.

    >>> boilerplate_kind("[Click to enlarge]"), boilerplate_kind("Click beetle on a leaf")
    ('invitation', None)
    """
    return _first_match(_BOILERPLATE, caption.strip(_AROUND))


def _first_match(kinds: dict[str, re.Pattern[str]], caption: str) -> str | None:
    if len(caption) > 300:  # none of them is, and the patterns take quadratic time at worst
        return None
    return next((kind for kind, pattern in kinds.items() if pattern.fullmatch(caption)), None)
