"""`explain`: every measurement, limit and verdict for one pair; `measure`: how good a check is.

    python -m filters explain --caption "A red umbrella" --url https://example.com/umbrella.jpg
    python -m filters measure --check language --files sentences.jsonl.gz --label lang --keep en

Exit status 0 whatever the verdict; 2 where the request was wrong, such as a file that is not there.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import tyro
from PIL import Image

from filters.checks import ImageChecks, TextChecks, screen_image
from filters.language import LanguageGuess
from filters.looks import greys_32
from filters.measure import Measure, measured
from filters.queries import QueryIndex, read_queries
from filters.reasons import Drop, Reason
from filters.text import normalise_caption
from filters.urls import UrlRules, canonical_url

Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Explain:
    """Explain what the filters say of a caption, and of its URL and picture where they are given.

    Example: python -m filters explain --caption "A red umbrella" --url https://example.com/umbrella.jpg
    """

    caption: str
    """The caption as a page has it; it is normalised first."""
    url: str | None = None
    """Address of the picture. Nothing is fetched."""
    image: Path | None = None
    """The picture's file."""
    queries: Path | None = None
    """Search terms, one per line."""
    text: TextChecks = TextChecks()
    urls: UrlRules = UrlRules()
    images: ImageChecks = ImageChecks()


def explain(request: Explain) -> Iterator[Row]:
    """Yield (check, measured, limits, verdict) for each check. Raises ValueError at unreadable files."""
    caption = normalise_caption(request.caption)
    yield ("normalise", repr(caption), "", "kept" if caption == request.caption else "kept, changed")
    if request.url is not None:
        url = canonical_url(request.url)
        drop = request.urls.check(url) if url else Drop(Reason.URL_INVALID, "not an http or https URL")
        yield ("url", url or request.url, _told(request.urls), _verdict(drop))
    if request.queries is not None:
        yield _queries_row(caption, request.queries)
    for name, check in request.text:
        measurement = check.measure(caption)
        yield (name, _measured(measurement), _told(check), _verdict(check.check(measurement)))
    if request.image is not None:
        yield from _image_rows(request.image, request.images)


def _queries_row(caption: str, path: Path) -> Row:
    try:
        queries = read_queries(path)
    except OSError as error:
        raise ValueError(f"--queries {path} cannot be read ({error}): give a UTF-8 text file") from error
    found = [queries[query_id] for query_id in QueryIndex(queries).matches(caption)]
    drop = None if found else Drop(Reason.NO_QUERY, f"none of {len(queries)} terms occurs")
    return ("queries", ", ".join(found) or "none", f"one of {len(queries)} terms", _verdict(drop))


def _image_rows(path: Path, checks: ImageChecks) -> Iterator[Row]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"--image {path} cannot be read ({error}): give a picture's file") from error
    screened = screen_image(data, checks)
    if screened.header is None:
        yield ("image", f"{len(data)} bytes", "", _verdict(screened.drop))
        return
    for name, header_check in checks.of_headers():
        verdict = _verdict(header_check.check_header(screened.header))
        yield (f"image {name}", _told(screened.header), _told(header_check), verdict)
    if screened.drop is None:  # a picture that declares too much is not decoded
        yield from _pixel_rows(path, screened.header.format, checks)


def _pixel_rows(path: Path, name: str, checks: ImageChecks) -> Iterator[Row]:
    try:
        with Image.open(path, formats=[name.upper()]) as image:
            grey = greys_32(_on_white(image) if image.has_transparency_data else image)
    except (OSError, SyntaxError, ValueError) as error:
        yield ("image pixels", type(error).__name__, "", _verdict(Drop(Reason.IMAGE_CORRUPT, str(error))))
        return
    for name, check in checks.of_pixels():
        measurement = check.measure(grey)
        yield (f"image {name}", _measured(measurement), _told(check), _verdict(check.check(measurement)))


def _on_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGBA", image.size, "white")  # as pictures are stored
    page.alpha_composite(image.convert("RGBA"))
    return page


def _measured(measurement: Any) -> str:
    if isinstance(measurement, LanguageGuess):
        return "\n".join(f"{name} {_plain(value)}" for name, value in measurement._asdict().items())
    if isinstance(measurement, tuple):  # words that were found: the verdict shows them masked
        return f"{len(measurement)} found"
    return _told(measurement)


def _told(values: Any) -> str:
    """Return the fields of a measurement or of limits, one per line."""
    if not is_dataclass(values):
        return _plain(values)
    pairs = [(field.name, getattr(values, field.name)) for field in fields(values)]
    return "\n".join(f"{name} {_plain(value)}" for name, value in pairs)


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "none" if value in (None, "") else str(value)


def _verdict(drop: Drop | None) -> str:
    return "kept" if drop is None else f"DROPPED {drop.reason}\n{drop.detail}"


def format_table(rows: Iterable[Row]) -> str:
    """Return rows as aligned columns; a cell may have several lines."""
    cells = [tuple(cell.split("\n") for cell in row) for row in rows]
    widths = [max(len(line) for row in cells for line in row[column]) for column in range(4)]
    lines = []
    for row in cells:
        for number in range(max(map(len, row))):
            parts = (cell[number] if number < len(cell) else "" for cell in row)
            lines.append(
                "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    request = tyro.extras.subcommand_cli_from_dict(
        {"explain": Explain, "measure": Measure},
        prog="python -m filters",
        description=__doc__,
        args=arguments,
    )
    try:
        if isinstance(request, Measure):
            for table in measured(request):
                print(format_table(table), end="\n\n")
        else:
            print(format_table([("check", "measured", "limits", "verdict"), *explain(request)]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
