"""The table of everything on the sample web that is not an ordinary picture with an ordinary caption.

A role is a share of the pictures and a function that puts one such thing into the world. Each occurs at least
twice in a world of any size. The names stand in web.jsonl and truth.jsonl.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from filters.reasons import Reason
from pipeline.sample_web.bad_files import (
    ERROR_PAGE,
    damaged_jpeg,
    damaged_png,
    huge_png,
    shrunk_to,
    tracking_pixel,
    truncated,
)
from pipeline.sample_web.copies import COPIES
from pipeline.sample_web.maker import DOMAIN, Maker, Subject
from pipeline.sample_web.put import (
    put_bad_answer,
    put_bad_caption,
    put_bad_file,
    put_copies,
    put_format,
    put_healthy,
    put_invalid_url,
    put_listed_twice,
    put_on_two_pages,
    put_private_address,
    put_redirect_ring,
    put_redirected_copy,
    put_redirects,
    put_turned,
    put_unserved,
)

CLOSED_HOST = f"closed.{DOMAIN}"
ROBOTS = {
    "private": "User-agent: *\nDisallow: /\n",
    "archive": "# Only the public half.\nUser-agent: *\nDisallow: /restricted/\nCrawl-delay: 0\n",
    "studio": "User-agent: OtherBot\nDisallow: /\n\nUser-agent: *\nAllow: /\n",
}


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of thing on the sample web: how many there are, per picture drawn, and how one is put there."""

    share: float
    put: Callable[[Maker], None]
    draws: bool = True  # whether it needs a picture of its own


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
                reason=Reason.HOST_DOWN,
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
