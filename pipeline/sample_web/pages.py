"""The web's pages: albums that show the listed pictures, with the words that a crawl would extract."""

import html
from collections import defaultdict
from urllib.parse import urlsplit

from pipeline.sample_web.maker import DOMAIN, HOSTS, Maker, TableRow

IMAGES_PER_PAGE = 8


def put_pages(maker: Maker) -> None:
    """Put every listed picture on a page, of its own host where that has pages, and note the rows."""
    albums: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for url, alt in maker.images:
        try:
            name, _, domain = (urlsplit(url).hostname or "").partition(".")
        except ValueError:
            name, domain = "", ""
        albums[name if domain == DOMAIN and name in HOSTS else maker.rng.choice(HOSTS)].append((url, alt))
    for name, images in sorted(albums.items()):
        for start in range(0, len(images), IMAGES_PER_PAGE):
            page_url = f"http://{name}.{DOMAIN}/albums/{start // IMAGES_PER_PAGE + 1}.html"
            shown = images[start : start + IMAGES_PER_PAGE]
            is_last = start + IMAGES_PER_PAGE >= len(images)
            maker.rows.extend(TableRow(url=url, alt=alt, page_url=page_url) for url, alt in shown)
            body = page_html(name, start // IMAGES_PER_PAGE + 1, shown, is_last=is_last)
            maker.serve(page_url, body.encode(), mime="text/html; charset=utf-8")


def page_html(name: str, number: int, images: list[tuple[str, str]], *, is_last: bool) -> str:
    """Return a page with a figure per picture."""
    figures = "\n".join(
        f'<figure><img src="{html.escape(url)}" alt="{html.escape(alt)}" loading="lazy">'
        f"<figcaption>{html.escape(alt)}</figcaption></figure>"
        for url, alt in images
    )
    onward = "" if is_last else f'<p><a href="/albums/{number + 1}.html">Next page</a></p>\n'
    title = f"{name.capitalize()} album, page {number}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body>\n<h1>{title}</h1>\n{figures}\n{onward}</body>\n</html>\n"
    )
