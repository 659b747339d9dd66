"""A map of domains: boxes as large as their share, those of one ending (.com, .org, .de) side by side.

The boxes follow the squarified layout of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from manifests.report.page import number, share, text

NUM_BOXES = 70
NUM_SHADES = 6
ASPECT = 2.0  # width by height of the whole; in a narrow window the page makes it higher


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in any units."""

    x: float
    y: float
    wide: float
    high: float


def treemap(hosts: Counter[str], *, title: str) -> str:
    """Return the hosts as nested boxes; rare ones share a box that says how many they are."""
    total = hosts.total()
    if not total:
        return ""
    shown = hosts.most_common(NUM_BOXES)
    rest = total - sum(count for _, count in shown)
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, count in shown:
        groups.setdefault(ending(name), []).append((name, count))
    if rest:
        groups["…"] = [(f"{number(len(hosts) - len(shown))} more", rest)]
    ordered = sorted(groups.items(), key=lambda item: (-sum(count for _, count in item[1]), item[0]))
    outer = squarify([sum(count for _, count in group) for _, group in ordered], Box(0, 0, ASPECT, 1))
    parts = [
        _group(place, name, group, box, total)
        for place, ((name, group), box) in enumerate(zip(ordered, outer, strict=True))
    ]
    most, count = shown[0]
    says = (
        f"{title}: {number(len(hosts))} of them; the largest, {most}, has {share(count, total)} of the pairs"
    )
    return f'<div class="treemap" role="img" aria-label="{text(says)}">{"".join(parts)}</div>'


def ending(host: str) -> str:
    """Return the last label of a host name.

    >>> ending("upload.wikimedia.org"), ending("192.0.2.1")
    ('org', 'address')
    """
    last = host.rpartition(".")[2]
    return last if last and not last.isdigit() and ":" not in host else "address"


def squarify(areas: Sequence[float], room: Box) -> list[Box]:
    """Return a box for each area, largest areas first, that fill the room and are near to squares."""
    scale = room.wide * room.high / sum(areas)
    boxes: list[Box] = []
    rest = [area * scale for area in areas]
    while rest:
        side = min(room.wide, room.high)
        taken = 1
        while taken < len(rest) and _worst(rest[: taken + 1], side) <= _worst(rest[:taken], side):
            taken += 1
        row, rest = rest[:taken], rest[taken:]
        found, room = _row(row, room)
        boxes.extend(found)
    return boxes


def _worst(row: Sequence[float], side: float) -> float:
    """Return the largest ratio of sides of a row of areas along a side."""
    total = sum(row)
    return max(side * side * max(row) / (total * total), total * total / (side * side * min(row)))


def _row(row: Sequence[float], room: Box) -> tuple[list[Box], Box]:
    """Return a row of areas along the shorter side of the room, and the room that is left."""
    deep = sum(row) / min(room.wide, room.high)
    boxes, along = [], 0.0
    for area in row:
        length = area / deep
        if room.wide >= room.high:
            boxes.append(Box(room.x, room.y + along, deep, length))
        else:
            boxes.append(Box(room.x + along, room.y, length, deep))
        along += length
    if room.wide >= room.high:
        return boxes, Box(room.x + deep, room.y, max(room.wide - deep, 1e-12), room.high)
    return boxes, Box(room.x, room.y + deep, room.wide, max(room.high - deep, 1e-12))


def _group(place: int, name: str, hosts: Sequence[tuple[str, int]], room: Box, total: int) -> str:
    boxes = squarify([count for _, count in hosts], room)
    names = [text(host).replace(".", ".<wbr>") for host, _ in hosts]  # where a name may be broken
    return "".join(
        f'<span class="box shade{place % NUM_SHADES}" style="left:{100 * box.x / ASPECT:.3f}%;'
        f'top:{100 * box.y:.3f}%;width:{100 * box.wide / ASPECT:.3f}%;height:{100 * box.high:.3f}%" '
        f'title="{text(host)}: {number(count)} ({share(count, total)})"><bdi>{name}</bdi>'
        f"<small>{share(count, total)}</small></span>"
        for (host, count), name, box in zip(hosts, names, boxes, strict=True)
    )
