"""A finished sample web, served: its files read back into a `Web`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.sample_web.commons_api import CommonsApi, CommonsFile
from pipeline.sample_web.folders import read_note
from pipeline.sample_web.maker import DOMAIN, Address
from pipeline.sample_web.roles import CLOSED_HOST
from pipeline.sample_web.server import Resource, Served, Web, serving
from pipeline.sample_web.truth import TruthRow

ENDPOINT = f"http://commons.{DOMAIN}/w/api.php"


@contextmanager
def serving_world(root: Path, *, port: int = 0) -> Iterator[Served]:
    """Serve the world at `root` on 127.0.0.1 until the block ends; port 0 takes a free one."""
    with serving(read_web(root), domain=DOMAIN, closed_hosts=(CLOSED_HOST,), port=port) as served:
        yield served


def read_web(root: Path) -> Web:
    """Return the world at `root` as a Web. Raises ValueError where there is none."""
    web = Web()
    for row in read_lines(root, "web.jsonl"):
        address = Address(**row)
        web.add(
            address.url,
            Resource(
                body=root / address.body if address.body else b"",
                status=address.status,
                headers=address.headers,
                flow=address.flow,
                delay_s=address.delay_s,
                num_refusals=address.num_refusals,
            ),
        )
    api = CommonsApi([CommonsFile(**row) for row in read_lines(root, "commons.jsonl")])
    web.mount(f"commons.{DOMAIN}", "/w/api.php", api.answer)
    return web


def read_truth(root: Path) -> list[TruthRow]:
    """Return the right outcome of every candidate. Raises ValueError where `root` holds no world."""
    return [TruthRow(**row) for row in read_lines(root, "truth.jsonl")]


def read_lines(root: Path, name: str) -> list[dict[str, Any]]:
    """Return the objects of one of a world's files. Raises ValueError where `root` holds no world."""
    if (read_note(root) or {}).get("what") != "world":
        raise ValueError(
            f"{root} holds no sample web. Next: python -m pipeline.sample_web make --root {root}"
        )
    return [json.loads(line) for line in (root / name).read_text(encoding="utf-8").splitlines()]
