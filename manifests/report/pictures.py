"""Pictures of a report: thumbnails as data URIs, cards of pairs and of rejections, unsafe words masked."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from manifests.report.data import ShownPair
from manifests.report.page import text
from manifests.report.sampling import Sample
from manifests.store import Dataset

THUMBNAIL_PX = 192  # twice the width on a common screen would cost four times the bytes
# Reasons whose captions and addresses are masked: what was dropped for its words need not be read here, and
# whom it names is nobody's business.
MASKED_REASONS = frozenset({"caption_unsafe", "caption_toxic", "caption_personal_data", "url_blocked"})

Row = dict[str, Any]


def thumbnail(data: bytes, *, alt: str, max_side_px: int = THUMBNAIL_PX) -> str:
    """Return an `<img>` with the picture inside it as a small JPEG, or say why it cannot be read."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            # Shards hold pictures of bounded size, and draft() decodes a JPEG at a fraction of its own.
            picture.draft("RGB", (max_side_px, max_side_px))
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        return f'<span class="picture">unreadable picture: {text(type(error).__name__)}</span>'
    small.thumbnail((max_side_px, max_side_px))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=72)
    return (
        f'<span class="picture"><img src="{data_uri(buffer.getvalue())}" width="{small.width}" '
        f'height="{small.height}" loading="lazy" alt="{text(alt[:160])}"></span>'
    )


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as an address that holds the picture itself."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def pair_card(
    dataset: Dataset, pair: ShownPair, query_texts: Mapping[int, str], *, kind: str = "", note: str = ""
) -> str:
    """Return a kept pair: its picture, caption, page or host, and the queries found in the caption."""
    row = pair.row
    tags = "".join(
        f'<bdi class="tag">{text(query_texts[query_id])}</bdi>'
        for query_id in (row["query_ids"] or ())[:4]
        if query_id in query_texts
    )
    size = f"{row['original_width']} × {row['original_height']} px · "
    said = f'<span class="measure">{text(note)}</span>' if note else ""
    return (
        f'<figure class="pair {kind}">{thumbnail(pair.picture(dataset), alt=row["caption"])}'
        f'<figcaption class="words">{said}{caption_line(row["caption"])}'
        f'<span class="quiet">{text(size)}{_page_link(row)}</span>'
        f"{f'<span>{tags}</span>' if tags else ''}</figcaption></figure>"
    )


def _page_link(row: Row) -> str:
    """Return the host of a picture's page as a link to it, or of the picture where its page is not known."""
    address = row["page_url"] or row["url"]
    shown = text(host(address))
    if not address.startswith(("https://", "http://")):
        return shown
    return f'<a href="{text(address)}" rel="noreferrer noopener nofollow">{shown}</a>'


def rejection_card(row: Row) -> str:
    """Return a rejected record: its picture if there is one, its measurement, caption and address."""
    masked = row["reason"] in MASKED_REASONS
    caption = row["caption"] or ""
    detail, address = row["detail"] or "", row["url"] or ""
    if masked:
        detail = mask_quoted(detail, f"{caption} {address}")
        caption, address = mask(caption), mask(host(address))
    picture = ""
    if row["thumbnail"] is not None and not masked:
        picture = thumbnail(row["thumbnail"], alt=caption, max_side_px=128)
    return (
        f'<figure class="pair">{picture}<figcaption class="words"><span class="measure">{text(detail)}</span>'
        f'{caption_line(caption)}<span class="quiet">{text(short_address(address))}</span>'
        "</figcaption></figure>"
    )


def caption_line(caption: str) -> str:
    """Return a caption as one element; its own writing direction cannot turn the text around it."""
    return f'<bdi class="caption" dir="auto" title="{text(caption[:600])}">{text(caption[:600])}</bdi>'


def mask(words: str) -> str:
    """Return the text with the first letter of every word and dots for the rest.

    >>> mask("some unsafe words")
    's… u… w…'
    """
    return re.sub(r"(\w)\w+", r"\1…", words)


def mask_quoted(detail: str, caption: str) -> str:
    """Return a measurement with what it repeats of the caption, or puts in quotation marks, masked."""
    quoted = re.sub(r"(['\"«“‘])(.+?)(['\"»”’])", lambda found: found[1] + mask(found[2]) + found[3], detail)
    words = set(re.findall(r"\w{3,}", caption.casefold()))
    return re.sub(
        r"\w{3,}", lambda found: mask(found[0]) if found[0].casefold() in words else found[0], quoted
    )


def host(url: str) -> str:
    """Return the host of an address, or the address itself where it has none."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def short_address(url: str) -> str:
    """Return an address as its host and the end of its path; it is text, never a link.

    >>> short_address("https://www.example.org/pictures/2019/a-cat.jpg")
    'www.example.org/…/a-cat.jpg'
    >>> short_address("https://user:secret@example.org/a-cat.jpg")
    'example.org/a-cat.jpg'
    """
    bare = re.sub(r"^[a-z]+://(?:[^/]*@)?", "", url)
    front, slash, path = bare.partition("/")
    last = path.rpartition("/")[2]
    shown = last if len(last) <= 24 else f"…{last[-23:]}"
    return f"{front}{slash}{'…/' if '/' in path else ''}{shown}"


def cluster_cards(
    dataset: Dataset,
    groups: Mapping[str, Sequence[Row]],
    survivors: Mapping[str, ShownPair],
    sample: Sample,
) -> list[str]:
    """Return one card per group of duplicates: the pair that was kept first, then what it stands for."""
    return [
        f'<div class="card cluster"><div class="pairs">{_survivor(dataset, survivors.get(key), sample)}'
        f"{''.join(rejection_card(row) for row in rows)}</div></div>"
        for key, rows in groups.items()
    ]


def _survivor(dataset: Dataset, pair: ShownPair | None, sample: Sample) -> str:
    if pair is None:
        why = "dropped by a later stage" if sample.is_whole else "not among the shards that were read"
        return f'<figure class="pair"><span class="picture">kept here, {why}</span></figure>'
    return pair_card(dataset, pair, {}, kind="survivor")
