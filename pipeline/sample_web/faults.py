"""Everything on the sample web that is not an ordinary picture with an ordinary caption, one role each.

A role is a name, its share of the pictures and a function that puts one such thing into the world. Each
occurs at least twice in a world of any size. The names stand in web.jsonl and truth.jsonl.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PIL import Image

from filters.reasons import Reason
from pipeline.sample_web.bad_captions import bad_caption
from pipeline.sample_web.copies import COPIES, decoded, encoded, near_copy
from pipeline.sample_web.draw import draw_picture
from pipeline.sample_web.maker import DOMAIN, Maker, Subject, commons_url
from pipeline.sample_web.server import Flow

CLOSED_HOST = f"closed.{DOMAIN}"
ROBOTS = {
    "private": "User-agent: *\nDisallow: /\n",
    "archive": "# Only the public half.\nUser-agent: *\nDisallow: /restricted/\nCrawl-delay: 0\n",
    "studio": "User-agent: OtherBot\nDisallow: /\n\nUser-agent: *\nAllow: /\n",
}
PRIVATE_URLS = (
    "http://10.0.0.1/photos/{name}.jpg",
    "http://127.0.0.1/admin/{name}.jpg",
    "http://192.168.1.1/cam/{name}.jpg",
    "http://169.254.169.254/latest/{name}.jpg",
    "http://[::1]/{name}.jpg",
)
INVALID_URLS = (
    "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
    "ftp://files.sample.test/photos/{name}.jpg",
    "/images/photos/{name}.jpg",
    "http://user:secret@gallery.sample.test/{name}.jpg",
    "javascript:void(0)",
)
ERROR_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body>Not found</body></html>\n"


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of thing on the sample web: how many there are, per picture drawn, and how one is put there."""

    share: float
    put: Callable[[Maker], None]
    draws: bool = True  # whether it needs a picture of its own


def list_anywhere(maker: Maker, subject: Subject, caption: str, *, reason: Reason | None = None) -> None:
    """List a healthy picture at Commons or on a page, as it comes."""
    if maker.rng.random() < 0.8:
        url = commons_url(subject.group, subject.scene)
        maker.list_at_commons(url, caption, subject.group, subject.scene, subject.data, reason=reason)
    else:
        url = maker.url(maker.site(), subject.group, subject.scene)
        maker.list_on_page(url, caption, subject.group, reason=reason, data=subject.data)
    maker.serve(url, subject.data)


def put_plain(maker: Maker) -> None:
    """A picture with a caption, or for some at Commons only a title."""
    subject = maker.subject()
    if maker.rng.random() < 0.1:
        url = commons_url(subject.group, subject.scene)
        maker.list_at_commons(url, None, subject.group, subject.scene, subject.data)
        maker.serve(url, subject.data)
    else:
        list_anywhere(maker, subject, maker.caption(subject.scene))


def put_listed_twice(maker: Maker, *, same_caption: bool) -> None:
    """A file at Commons that a page shows too, with the same words or with others."""
    subject = maker.subject()
    url = commons_url(subject.group, subject.scene)
    caption = maker.caption(subject.scene)
    alt = caption if same_caption else maker.caption(subject.scene, other_than=caption)
    maker.list_at_commons(url, caption, subject.group, subject.scene, subject.data)
    maker.list_on_page(url, alt, subject.group, data=subject.data)
    maker.serve(url, subject.data)


def put_on_two_pages(maker: Maker) -> None:
    """A picture that two pages show with the same words."""
    subject = maker.subject()
    url = maker.url(maker.site(), subject.group, subject.scene)
    caption = maker.caption(subject.scene)
    for _ in range(2):
        maker.list_on_page(url, caption, subject.group, data=subject.data)
    maker.serve(url, subject.data)


def put_bad_caption(maker: Maker, *, reason: Reason) -> None:
    """A good picture with a caption that must not get through."""
    subject = maker.subject()
    list_anywhere(maker, subject, bad_caption(reason, subject.scene, maker.rng), reason=reason)


def put_copies(maker: Maker, *, kinds: tuple[str, ...]) -> None:
    """A picture and copies of it under other addresses: "exact" ones or kinds of `copies.COPIES`."""
    subject = maker.subject()
    list_anywhere(maker, subject, maker.caption(subject.scene))
    made: dict[str, bytes] = {"exact": subject.data}
    for kind in kinds:
        if kind not in made:
            made[kind] = near_copy(subject.data, kind)
        host = f"{maker.rng.choice(('mirror', 'thumbs', 'reposts'))}.{DOMAIN}"
        suffix = ".png" if kind == "lossless" else ".jpg"
        url = maker.url(host, subject.group, subject.scene, suffix=suffix)
        maker.list_on_page(url, maker.caption(subject.scene), subject.group, data=made[kind])
        maker.serve(url, made[kind])


def put_redirected_copy(maker: Maker) -> None:
    """An address that leads to a picture which is listed itself."""
    subject = maker.subject()
    url = maker.url(maker.site(), subject.group, subject.scene)
    maker.list_on_page(url, maker.caption(subject.scene), subject.group, data=subject.data)
    maker.serve(url, subject.data)
    other = maker.url(f"reposts.{DOMAIN}", subject.group, subject.scene)
    maker.list_on_page(other, maker.caption(subject.scene), subject.group, data=subject.data)
    maker.serve(other, None, status=301, headers={"Location": url})


def put_healthy(
    maker: Maker,
    *,
    host: str,
    folder: str = "photos",
    headers: dict[str, str] | None = None,
    delay_s: float = 0.0,
    num_refusals: int = 0,
    reason: Reason | None = None,
) -> None:
    """A good picture on a host of a certain temper; `reason` where the host or a header forbids it."""
    subject = maker.subject()
    url = maker.url(f"{host}.{DOMAIN}", subject.group, subject.scene, folder=folder)
    maker.list_on_page(url, maker.caption(subject.scene), subject.group, reason=reason, data=subject.data)
    maker.serve(url, subject.data, headers=headers, delay_s=delay_s, num_refusals=num_refusals)


def put_redirects(maker: Maker, *, num_hops: int) -> None:
    """A picture behind one or more redirects, the last of them to another host."""
    subject = maker.subject()
    host = maker.site()
    hops = [maker.url(host, subject.group, subject.scene)]
    hops += [f"http://{host}/moved/{hop}/{subject.group:05d}" for hop in range(1, num_hops)]
    hops.append(f"http://static.{DOMAIN}/files/{subject.group:05d}.jpg")
    maker.list_on_page(hops[0], maker.caption(subject.scene), subject.group, data=subject.data)
    for status, here, there in zip((302, 301, 307), hops, hops[1:], strict=False):
        location = there.removeprefix(f"http://{host}")  # within a host the path alone
        maker.serve(here, None, status=status, headers={"Location": location})
    maker.serve(hops[-1], subject.data)


def put_format(maker: Maker, *, kind: str, suffix: str, mime: str | None) -> None:
    """A picture of one format whose name or type says another."""
    subject = maker.subject()
    data = encoded(decoded(subject.data), kind)
    url = maker.url(maker.site(), subject.group, subject.scene, suffix=suffix)
    maker.list_on_page(url, maker.caption(subject.scene), subject.group, data=data)
    maker.serve(url, data, mime=mime)


def put_turned(maker: Maker) -> None:
    """A picture that lies on its side, with the EXIF tag that turns it upright."""
    subject = maker.subject()
    data = near_copy(subject.data, "turned")
    url = maker.url(maker.site(), subject.group, subject.scene)
    maker.list_on_page(url, maker.caption(subject.scene), subject.group, data=data)
    maker.serve(url, data)


def put_bad_answer(
    maker: Maker,
    *,
    reason: Reason,
    host: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    flow: Flow = "whole",
) -> None:
    """An address that never gives a picture; `{here}` in a header is its own URL."""
    group, scene = maker.scene()
    url = maker.url(f"{host}.{DOMAIN}" if host else maker.site(), group, scene)
    maker.list_on_page(url, maker.caption(scene), group, reason=reason)
    filled = {name: value.format(here=url) for name, value in (headers or {}).items()}
    maker.serve(url, None, status=status, headers=filled, flow=flow)


def put_unserved(maker: Maker, *, url: str, reason: Reason) -> None:
    """A picture on a name or address that nobody serves."""
    group, scene = maker.scene()
    name = f"{scene.colour}-{scene.thing}-{group:05d}"
    maker.list_on_page(url.format(name=name), maker.caption(scene), group, reason=reason)


def put_redirect_ring(maker: Maker) -> None:
    """Two addresses that lead to each other."""
    group, scene = maker.scene()
    url = maker.url(maker.site(), group, scene)
    maker.list_on_page(url, maker.caption(scene), group, reason=Reason.TOO_MANY_REDIRECTS)
    maker.serve(url, None, status=302, headers={"Location": f"{url}.back"})
    maker.serve(f"{url}.back", None, status=302, headers={"Location": url})


def put_private_address(maker: Maker) -> None:
    """A picture on an address of somebody's own network."""
    put_unserved(maker, url=maker.rng.choice(PRIVATE_URLS), reason=Reason.ADDRESS_NOT_PUBLIC)


def put_invalid_url(maker: Maker) -> None:
    """What pages have in `src` that is no http URL."""
    put_unserved(maker, url=maker.rng.choice(INVALID_URLS), reason=Reason.URL_INVALID)


def put_bad_file(
    maker: Maker, *, reason: Reason, make: Callable[[Maker, Subject], bytes], mime: str | None
) -> None:
    """An address that answers bytes which are not a picture that can be used."""
    subject = maker.subject()
    data = make(maker, subject)
    url = maker.url(maker.site(), subject.group, subject.scene)
    maker.list_on_page(url, maker.caption(subject.scene), subject.group, reason=reason)
    maker.serve(url, data, mime=mime)


def truncated(maker: Maker, subject: Subject) -> bytes:
    """Return the first part of the file."""
    return subject.data[: round(len(subject.data) * maker.rng.uniform(0.3, 0.8))]


def damaged_jpeg(_maker: Maker, subject: Subject) -> bytes:
    """Return the file with a Huffman table that no decoder can build: its header is fine, its pixels are lost."""
    counts = subject.data.index(b"\xff\xc4") + 5  # marker, length and class; then codes per length
    return subject.data[:counts] + b"\xff" * 16 + subject.data[counts + 16 :]


def damaged_png(maker: Maker, subject: Subject) -> bytes:
    """Return the picture as a PNG with noise in the middle of its pixels."""
    data = encoded(decoded(subject.data), "PNG")
    middle = len(data) // 2
    return data[:middle] + maker.rng.randbytes(64) + data[middle + 64 :]


def huge_png(_maker: Maker, _subject: Subject) -> bytes:
    """Return a PNG of a few bytes that declares 50,000 x 50,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


def shrunk_to(maker: Maker, subject: Subject, *, size: tuple[int, int]) -> bytes:
    """Return the picture squeezed into a size."""
    return encoded(draw_picture(subject.scene).resize(size), quality=maker.rng.randint(80, 90))


def tracking_pixel(_maker: Maker, _subject: Subject) -> bytes:
    """Return a GIF of one pixel."""
    buffer = io.BytesIO()
    Image.new("P", (1, 1)).save(buffer, "GIF")
    return buffer.getvalue()


def bad_caption_roles() -> dict[str, Role]:
    """Return a role per reason of the match and text stages."""
    shares = {
        Reason.NO_QUERY: 0.02,
        Reason.CAPTION_TOO_SHORT: 0.008,
        Reason.CAPTION_FILE_NAME: 0.008,
        Reason.CAPTION_BOILERPLATE: 0.008,
        Reason.CAPTION_FEW_LETTERS: 0.005,
        Reason.CAPTION_UNSAFE: 0.008,
        Reason.CAPTION_LANGUAGE: 0.025,
    }
    return {
        str(reason): Role(share, partial(put_bad_caption, reason=reason)) for reason, share in shares.items()
    }


def copy_roles() -> dict[str, Role]:
    """Return roles whose captions are fine and whose pictures occur more than once."""
    families = {
        "exact_copy": (0.02, ("exact",)),
        "exact_copies": (0.006, ("exact", "exact")),
        "family": (0.006, ("exact", "recompressed", "recompressed", "resized")),
        "big_family": (0.003, ("enlarged", "resized", "cropped", "exact")),
    }
    roles = {name: Role(share, partial(put_copies, kinds=kinds)) for name, (share, kinds) in families.items()}
    near = {f"{kind}_copy": Role(0.008, partial(put_copies, kinds=(kind,))) for kind in COPIES}
    return {
        **roles,
        **near,
        "redirected_copy": Role(0.004, put_redirected_copy),
        "same_pair_twice": Role(0.02, partial(put_listed_twice, same_caption=True)),
        "two_captions": Role(0.02, partial(put_listed_twice, same_caption=False)),
        "two_pages": Role(0.005, put_on_two_pages),
    }


def healthy_roles() -> dict[str, Role]:
    """Return roles that must be kept in spite of how they look or come."""
    return {
        "slow": Role(0.005, partial(put_healthy, host="slow", delay_s=0.3)),
        "busy_once": Role(0.003, partial(put_healthy, host="shy", num_refusals=1)),
        "allowed_by_robots": Role(0.006, partial(put_healthy, host="archive", folder="open")),
        "other_bot_forbidden": Role(0.006, partial(put_healthy, host="studio")),
        "other_bot_opted_out": Role(
            0.003, partial(put_healthy, host="artists", headers={"X-Robots-Tag": "otherbot: noai"})
        ),
        "redirect": Role(0.01, partial(put_redirects, num_hops=1)),
        "redirects_2": Role(0.004, partial(put_redirects, num_hops=2)),
        "redirects_3": Role(0.002, partial(put_redirects, num_hops=3)),
        "png_named_jpg": Role(0.004, partial(put_format, kind="PNG", suffix=".jpg", mime="image/jpeg")),
        "png_sent_as_html": Role(0.003, partial(put_format, kind="PNG", suffix=".png", mime="text/html")),
        "webp": Role(0.004, partial(put_format, kind="WEBP", suffix=".webp", mime=None)),
        "turned": Role(0.004, put_turned),
    }


def answer_roles() -> dict[str, Role]:
    """Return roles whose addresses give no picture, or may not be asked for it."""
    bad = partial(partial, put_bad_answer)
    busy = {"Retry-After": "1"}
    return {
        "robots_host": Role(0.006, partial(put_healthy, host="private", reason=Reason.ROBOTS_DISALLOWED)),
        "robots_path": Role(
            0.004, partial(put_healthy, host="archive", folder="restricted", reason=Reason.ROBOTS_DISALLOWED)
        ),
        "opted_out": Role(
            0.006,
            partial(
                put_healthy,
                host="artists",
                headers={"X-Robots-Tag": "noai, noimageai"},
                reason=Reason.OPTED_OUT,
            ),
        ),
        "not_found": Role(0.02, bad(reason=Reason.HTTP_ERROR, status=404), draws=False),
        "gone": Role(0.004, bad(reason=Reason.HTTP_ERROR, status=410), draws=False),
        "forbidden": Role(0.004, bad(reason=Reason.HTTP_ERROR, status=403), draws=False),
        "server_error": Role(0.001, bad(host="broken", reason=Reason.HTTP_ERROR, status=500), draws=False),
        "busy_for_ever": Role(
            0.001, bad(host="busy", reason=Reason.RATE_LIMITED, status=429, headers=busy), draws=False
        ),
        "drip": Role(0.0015, bad(host="drip", reason=Reason.TIMEOUT, flow="drip"), draws=False),
        "reset": Role(0.001, bad(host="reset", reason=Reason.CONNECTION_FAILED, flow="reset"), draws=False),
        "endless": Role(
            0.001, bad(host="endless", reason=Reason.TOO_MANY_BYTES, flow="endless"), draws=False
        ),
        "gigabyte": Role(
            0.002,
            bad(reason=Reason.TOO_MANY_BYTES, flow="drip", headers={"Content-Length": "1000000000"}),
            draws=False,
        ),
        "redirect_to_itself": Role(
            0.002,
            bad(reason=Reason.TOO_MANY_REDIRECTS, status=302, headers={"Location": "{here}"}),
            draws=False,
        ),
        "redirect_ring": Role(0.002, put_redirect_ring, draws=False),
        "redirect_inside": Role(
            0.002,
            bad(
                reason=Reason.ADDRESS_NOT_PUBLIC,
                status=302,
                headers={"Location": "http://127.0.0.1/admin/secret.jpg"},
            ),
            draws=False,
        ),
        "redirect_to_lan": Role(
            0.002,
            bad(reason=Reason.ADDRESS_NOT_PUBLIC, status=302, headers={"Location": "http://10.0.0.1/a.jpg"}),
            draws=False,
        ),
        "private_address": Role(0.003, put_private_address, draws=False),
        "closed_port": Role(
            0.003,
            partial(
                put_unserved,
                url=f"http://{CLOSED_HOST}/{{name}}.jpg",
                reason=Reason.CONNECTION_FAILED,
            ),
            draws=False,
        ),
        "unknown_name": Role(
            0.005,
            partial(put_unserved, url="http://photos.invalid/{name}.jpg", reason=Reason.NAME_NOT_RESOLVED),
            draws=False,
        ),
        "invalid_url": Role(0.005, put_invalid_url, draws=False),
    }


def file_roles() -> dict[str, Role]:
    """Return roles whose files are not pictures, or not usable ones."""

    def role(
        share: float, reason: Reason, make: Callable[[Maker, Subject], bytes], mime: str | None = "image/jpeg"
    ) -> Role:
        return Role(share, partial(put_bad_file, reason=reason, make=make, mime=mime))

    return {
        "html_as_jpeg": role(0.004, Reason.NOT_AN_IMAGE, lambda *_: ERROR_PAGE),
        "text_as_jpeg": role(0.002, Reason.NOT_AN_IMAGE, lambda *_: b"temporarily unavailable\n"),
        "empty_file": role(0.002, Reason.NOT_AN_IMAGE, lambda *_: b""),
        "truncated": role(0.005, Reason.IMAGE_CORRUPT, truncated),
        "damaged_jpeg": role(0.003, Reason.IMAGE_CORRUPT, damaged_jpeg),
        "damaged_png": role(0.003, Reason.IMAGE_CORRUPT, damaged_png, None),
        "huge_png": role(0.002, Reason.IMAGE_TOO_MANY_PIXELS, huge_png, None),
        "thumbnail": role(0.008, Reason.IMAGE_TOO_SMALL, partial(shrunk_to, size=(60, 45))),
        "tracking_pixel": role(0.003, Reason.IMAGE_TOO_SMALL, tracking_pixel, None),
        "banner": role(0.004, Reason.IMAGE_EXTREME_ASPECT, partial(shrunk_to, size=(420, 90))),
        "skyscraper": role(0.003, Reason.IMAGE_EXTREME_ASPECT, partial(shrunk_to, size=(90, 360))),
    }


def all_roles() -> dict[str, Role]:
    """Return every role but "plain", which fills the rest of a world."""
    return {**bad_caption_roles(), **copy_roles(), **healthy_roles(), **answer_roles(), **file_roles()}
