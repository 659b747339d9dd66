"""The bench on which the sample web is made: draws pictures, gives them addresses, and keeps the books.

`put`, `roles` and `world` say what is to be there; here is how a thing gets its body file, its address, its
entry at the search API or on a page, and its line in the truth.
"""

import html
import io
import random
import re
from dataclasses import dataclass, field
from hashlib import md5
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from filters.hashes import phash, sha256_hex
from filters.reasons import Reason
from pipeline.sample_web.captions import describe, plural, title_of
from pipeline.sample_web.commons_api import CommonsFile
from pipeline.sample_web.copies import PictureHashes, decoded, encoded
from pipeline.sample_web.draw import COLOURS, Scene, draw_picture, random_scene
from pipeline.sample_web.server import Flow
from pipeline.sample_web.things import THINGS
from pipeline.sample_web.truth import Mention

DOMAIN = "sample.test"  # RFC 6761 keeps .test for this
HOSTS = (
    *("gallery", "travel", "market", "garden", "harbour", "museum"),
    *("school", "toys", "news", "cards", "kitchen", "weather"),
)
LICENCES = (
    ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0"),
    ("CC BY 3.0", "https://creativecommons.org/licenses/by/3.0"),
    ("CC0", "https://creativecommons.org/publicdomain/zero/1.0"),
    ("Public domain", ""),
)
ARTISTS = ("A. Example", "Drawn by Machine", "B. Sample", "The Sample Society")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A drawn picture as its author would upload it."""

    group: int
    scene: Scene
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A line of web.jsonl: what a URL answers. `body` is a file below the world's root, None if empty."""

    url: str
    role: str
    body: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    flow: Flow = "whole"
    delay_s: float = 0.0
    num_refusals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A line of urls.jsonl: an `<img>` of a page."""

    url: str
    alt: str
    page_url: str


@dataclass
class Maker:
    """Makes one world below `folder`; equal seeds make equal bytes."""

    folder: Path
    rng: random.Random
    hashes: PictureHashes = field(default_factory=PictureHashes)
    role: str = "plain"  # of what is being made
    addresses: list[Address] = field(default_factory=list)
    files: list[CommonsFile] = field(default_factory=list)
    images: list[tuple[str, str]] = field(default_factory=list)  # (url, alt), to be put on pages
    rows: list[TableRow] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    num_groups: int = 0
    _kinds: list[tuple[str, str]] = field(default_factory=list)

    def scene(self) -> tuple[int, Scene]:
        """Return a new group and its scene: all things in all colours in turn, shuffled each time round."""
        if not self._kinds:
            self._kinds = list(product(THINGS, COLOURS))
            self.rng.shuffle(self._kinds)
        thing, colour = self._kinds.pop()
        self.num_groups += 1
        return self.num_groups - 1, random_scene(self.rng, thing=thing, colour=colour)

    def subject(self) -> Subject:
        """Draw a new picture, again with the next seed while it looks like an earlier one to a hash."""
        group, scene = self.scene()
        while True:
            data = encoded(draw_picture(scene), quality=self.rng.randint(82, 92))
            if self.hashes.add(phash(decoded(data))):
                return Subject(group=group, scene=scene, data=data)
            scene = random_scene(self.rng, thing=scene.thing, colour=scene.colour)

    def caption(self, scene: Scene, *, other_than: str = "") -> str:
        """Return an English caption for the scene."""
        return describe(scene, self.rng, other_than=other_than)

    def url(
        self, host: str, group: int, scene: Scene, *, suffix: str = ".jpg", folder: str = "photos"
    ) -> str:
        """Return a fresh address on a host, in the way of its kind of site."""
        name = f"{scene.colour}-{scene.thing}-{group:05d}-{len(self.addresses):05d}"
        return f"http://{host}/{folder}/{2012 + group % 13}/{name}{suffix}"

    def site(self) -> str:
        """Return the name of one of the ordinary hosts."""
        return f"{self.rng.choice(HOSTS)}.{DOMAIN}"

    def serve(
        self,
        url: str,
        data: bytes | None,
        *,
        mime: str | None = None,
        status: int = 200,
        headers: dict[str, str] | None = None,
        flow: Flow = "whole",
        delay_s: float = 0.0,
        num_refusals: int = 0,
    ) -> None:
        """Let an address answer these bytes, with the type that they have unless `mime` lies about it."""
        mime = mime or (mime_of(data) if data else None)
        self.addresses.append(
            Address(
                url=url,
                role=self.role,
                body=self.store(data) if data else None,
                status=status,
                headers={**({"Content-Type": mime} if mime else {}), **(headers or {})},
                flow=flow,
                delay_s=delay_s,
                num_refusals=num_refusals,
            )
        )

    def store(self, data: bytes) -> str:
        """Write a body file, named by its content so that exact copies share one; return where."""
        name = sha256_hex(data)[:24]
        path = self.folder / "bodies" / name[:2] / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return path.relative_to(self.folder).as_posix()

    def list_on_page(
        self, url: str, caption: str, group: int, *, reason: Reason | None = None, data: bytes | None = None
    ) -> None:
        """Put a picture on one of the web's pages, with this alt text."""
        self.images.append((url, caption))
        self._mention(url, caption, group, reason, data)

    def list_at_commons(
        self,
        url: str,
        caption: str | None,
        group: int,
        scene: Scene,
        data: bytes,
        *,
        reason: Reason | None = None,
    ) -> None:
        """Let the search API know a file; without a caption its title is all that it has."""
        title = title_of(scene, group)
        width_px, height_px = size_of(data) or (scene.width_px, scene.height_px)
        licence, licence_url = self.rng.choice(LICENCES)
        self.files.append(
            CommonsFile(
                title=f"File:{title}{Path(urlsplit(url).path).suffix or '.jpg'}",
                url=url,
                width_px=width_px,
                height_px=height_px,
                num_bytes=len(data),
                mime="image/png" if url.endswith(".png") else "image/jpeg",
                description=None if caption is None else self.marked_up(caption, scene),
                licence=licence,
                licence_url=licence_url,
                artist=self.rng.choice(ARTISTS),
            )
        )
        self._mention(url, caption or title, group, reason, data)

    def marked_up(self, caption: str, scene: Scene) -> str:
        """Return the caption as the HTML in which Commons gives descriptions."""
        text = html.escape(caption)
        kind = self.rng.randrange(3)
        if kind == 0:
            return text
        if kind == 1:
            return f"<p>{text}\n</p>"
        word = re.compile(rf"\b({scene.thing}|{plural(scene.thing)})(?= )")
        return word.sub(
            r'<a href="//commons.sample.test/wiki/Category:\1" title="Category:\1">\1</a>', text, count=1
        )

    def _mention(self, url: str, caption: str, group: int, reason: Reason | None, data: bytes | None) -> None:
        assert reason or data, f"{url} is neither dropped nor there"
        width_px, height_px = (size_of(data) or (0, 0)) if data and not reason else (0, 0)
        self.mentions.append(
            Mention(
                url=url,
                caption=caption,
                group=group,
                role=self.role,
                reason=reason,
                data=data,
                num_pixels=width_px * height_px,
            )
        )


def commons_url(group: int, scene: Scene, *, suffix: str = ".jpg") -> str:
    """Return where MediaWiki keeps a file: two folders by the MD5 of its name."""
    name = f"{title_of(scene, group).replace(',', '').replace(' ', '_')}{suffix}"
    digest = md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"http://upload.{DOMAIN}/commons/{digest[0]}/{digest[:2]}/{name}"


def mime_of(data: bytes) -> str:
    """Return the media type that the first bytes tell."""
    known = {
        b"\x89PNG": "image/png",
        b"RIFF": "image/webp",
        b"GIF8": "image/gif",
        b"\xff\xd8\xff": "image/jpeg",
    }
    return next((mime for start, mime in known.items() if data.startswith(start)), "application/octet-stream")


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return the declared sides of a picture, None where the bytes are none."""
    if mime_of(data) == "application/octet-stream":
        return None
    with Image.open(io.BytesIO(data)) as image:
        return image.size
