"""Which charset a page is in, and the codec that reads it as browsers do (WHATWG Encoding Standard, 4.2)."""

import codecs
import re

PRESCAN_BYTES = 1024
_DECLARED = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Labels that browsers read as a larger charset than their name says.
_LARGER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "johab": "cp949",
    "big5": "big5hkscs",
}


def decoded(html: bytes, http_charset: str | None = None) -> bytes | str:
    """Return a page as text; UTF-8, which the parser reads itself, stays as it is.

    A byte order mark goes before the HTTP header, the header before what the page declares in its first 1,024
    bytes; a charset that nobody knows counts as none, and none as UTF-8.

    >>> decoded('<meta charset="gb2312">·'.encode("gbk")), decoded(b"<p>")
    ('<meta charset="gb2312">·', b'<p>')
    """
    for mark, codec in _MARKS:
        if html.startswith(mark):
            return html[len(mark) :].decode(codec, "replace")
    label = http_charset
    if not label and (match := _DECLARED.search(html, 0, PRESCAN_BYTES)):
        label = match[1].decode("ascii")
    found = codec_of(label) if label else None
    return html.decode(found, "replace") if found else html


def codec_of(label: str) -> str | None:
    """Return Python's codec for a label; None for UTF-8, for what is no charset of text, and for UTF-16,
    which a page that could be read so far cannot be in."""
    try:
        info = codecs.lookup(label.strip())
    except (LookupError, ValueError):
        return None
    if info.name.startswith(("utf-8", "utf-16", "utf-32", "utf-7")) or not info._is_text_encoding:
        return None
    return _LARGER.get(info.name, info.name)
