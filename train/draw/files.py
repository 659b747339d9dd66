"""Strokes as files: an SVG, and a PNG by Pillow."""

import io
from xml.etree import ElementTree

from PIL import Image, ImageDraw
from torch import Tensor

from train.draw.strokes import CANVAS, Strokes, polylines

_FINER = 4  # as many subpixels along a side of a pixel
_NUM_SEGMENTS = 64  # a quarter of a pixel each, at most


def svg_of(strokes: Strokes, title: str) -> bytes:
    """Return an SVG file. What XML cannot hold in a title is left out."""
    side = f"{CANVAS:g}"
    box = {"viewBox": f"0 0 {side} {side}", "width": side, "height": side}
    root = ElementTree.Element("svg", box, xmlns="http://www.w3.org/2000/svg")
    printable = "".join(letter if letter.isprintable() else " " for letter in title)
    ElementTree.SubElement(root, "title").text = printable
    ElementTree.SubElement(root, "rect", width=side, height=side, fill="white")
    lines = ElementTree.SubElement(root, "g", {"fill": "none", "stroke-linecap": "round"})
    lines.set("stroke-linejoin", "round")
    for points, width, colour in zip(*strokes.tensors(), strict=True):
        ElementTree.SubElement(lines, "path", _path(points, width.item(), colour))
    ElementTree.indent(root, " ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode").encode()


def _path(points: Tensor, width: float, colour: Tensor) -> dict[str, str]:
    start, *rest = (f"{x:.2f} {y:.2f}" for x, y in points.tolist())
    *rgb, opacity = colour.tolist()
    stroke = "#" + "".join(f"{round(255 * share):02x}" for share in rgb)
    return {
        "d": f"M {start} C {', '.join(rest)}",
        "stroke": stroke,
        "stroke-width": f"{width:.2f}",
        "stroke-opacity": f"{opacity:.3f}",
    }


def png_of(strokes: Strokes, side_px: int) -> bytes:
    """Return a PNG file of (side_px, side_px), with hard edges that are drawn finer and averaged."""
    image = Image.new("RGB", (side_px, side_px), "white")
    for line, width, colour in zip(
        polylines(strokes.points, _NUM_SEGMENTS), *strokes.tensors()[1:], strict=True
    ):
        *rgb, opacity = (round(255 * share) for share in colour.tolist())
        mask = _mask(line, width.item(), side_px).point(
            [round(opacity * level / 255) for level in range(256)]
        )
        image.paste(tuple(rgb), mask=mask)
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def _mask(line: Tensor, width: float, side_px: int) -> Image.Image:
    """Return which share of a pixel lies within a stroke, from 0 to 255."""
    scale = _FINER * side_px / CANVAS
    mask = Image.new("L", (_FINER * side_px, _FINER * side_px))
    draw = ImageDraw.Draw(mask)
    # Pillow counts from the middle of the first pixel, a canvas from its edge.
    places = [(x, y) for x, y in (line.numpy() * scale - 0.5).tolist()]
    half = max(0.0, (width * scale - 1) / 2)  # Pillow's ellipses include both of their edges
    draw.line(places, fill=255, width=max(1, round(width * scale)))
    for x, y in places:  # round ends and joints; Pillow's own joints leave gaps
        draw.ellipse((x - half, y - half, x + half, y + half), fill=255)
    return mask.reduce(_FINER)
