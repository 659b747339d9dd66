"""Putting one thing into the sample web: a picture or a promise of one, its address, its behaviour."""

from collections.abc import Callable

from filters.reasons import Reason
from pipeline.sample_web.bad_captions import bad_caption
from pipeline.sample_web.copies import decoded, encoded, near_copy
from pipeline.sample_web.maker import DOMAIN, Maker, Subject, commons_url
from pipeline.sample_web.server import Flow

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
