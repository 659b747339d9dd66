"""Pictures for evaluation: drawn like those of the web, never among them, in a folder per class."""

import json
import os
import random
from itertools import product
from pathlib import Path

from tqdm import tqdm

from filters.hashes import phash
from pipeline.sample_web.copies import PictureHashes, decoded, encoded
from pipeline.sample_web.draw import COLOURS, draw_picture, random_scene
from pipeline.sample_web.folders import made_whole, read_note
from pipeline.sample_web.things import THINGS


def make_heldout(
    root: Path, *, web: Path, num_pictures: int = 480, seed: int = 1, quiet: bool = False
) -> None:
    """Make `root`/objects/<thing>/*.jpg and `root`/colours/<colour>/*.jpg, the same pictures in both trees.

    Each differs by more than 8 bits of its hash from every picture of the world at `web` and from each other.
    The classes of a tree are of nearly equal size. Raises ValueError where `web` holds no world.
    """
    world = read_note(web) or {}
    if world.get("what") != "world":
        raise ValueError(f"{web} holds no sample web. Next: python -m pipeline.sample_web make --root {web}")
    made_with = {"what": "heldout", "num_pictures": num_pictures, "seed": seed, "web": world}
    with made_whole(root, made_with) as folder:
        if folder is None:
            return
        hashes = PictureHashes()
        for value in json.loads((web / "hashes.json").read_text(encoding="utf-8")):
            hashes.add(int(value, 16))
        rng = random.Random(f"heldout {seed}")
        kinds = list(product(THINGS, COLOURS))
        rng.shuffle(kinds)
        for number in tqdm(range(num_pictures), desc="drawing held-out pictures", disable=quiet):
            thing, colour = kinds[number % len(kinds)]
            data = new_picture(rng, hashes, thing=thing, colour=colour)
            file = folder / "objects" / thing / f"{number:05d}.jpg"
            twin = folder / "colours" / colour / file.name
            for path in (file, twin):
                path.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            os.link(file, twin)


def new_picture(rng: random.Random, hashes: PictureHashes, *, thing: str, colour: str) -> bytes:
    """Draw until the picture is like none before."""
    while True:
        data = encoded(draw_picture(random_scene(rng, thing=thing, colour=colour)))
        if hashes.add(phash(decoded(data))):
            return data
