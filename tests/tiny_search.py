"""What the tests of search share: a run without training, features in parts, videos, a server that runs."""

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from aiohttp import web
from PIL import Image

from train.checkpoint import Checkpoint
from train.checkpoint_writer import save_checkpoint
from train.models import model_to_json
from train.models.clip import ClipVit
from train.search.build import Recipe, build_index
from train.search.parts import Made, Part, Parts, write_part
from train.search.searcher import Searcher
from train.search.server.app import make_app
from train.search.server.settings import ServeSettings
from train.tokenizer import DatasetTokenizer

Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def make_run(run: Path, seed: int = 0) -> Path:
    """Write a run of step 0 whose weights are chance's: every picture and word has features of its own."""
    torch.manual_seed(seed)
    tokenizer = DatasetTokenizer.train(["a red square on black, drawing 1"], 300)
    checkpoint = Checkpoint(
        step=0,
        config={"model": model_to_json(ClipVit.tiny())},
        tokenizer_kind=tokenizer.kind,
        tokenizer_state=tokenizer.state(),
        model=ClipVit.tiny().build(tokenizer.vocab_size).state_dict(),
        optimizer={},
        rng_state=torch.get_rng_state(),
    )
    save_checkpoint(run, checkpoint, num_kept=1)
    return run


def make_index(root: Path, *data: Path, **settings: object) -> Searcher:
    """Index places by the run at root/run, which is made where it is not there; open the index."""
    run = root / "run" if (root / "run").exists() else make_run(root / "run")
    build_index(Recipe(run=run, data=data, out=root / "index", **settings))  # type: ignore[arg-type]
    return Searcher.open(root / "index")


def unit_vectors(num: int, dim: int = 16, seed: int = 0) -> Vectors:
    """Return vectors (num, dim) of unit length in some clusters."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((50, dim))
    found = centres[random.integers(0, 50, num)] + 0.5 * random.standard_normal((num, dim))
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def make_part(folder: Path, number: int, features: Vectors, unsafe: bool = False) -> Part:
    """Write a part of these features, every fifth of its pictures unsafe where there are such."""
    made = Made(place=".", name=f"{number}", identity=f"{number}", num_rows=len(features), num_bad=0, bad=())
    rows = [{"unsafe": unsafe and row % 5 == 0, "caption": f"{number} {row}"} for row in range(len(features))]
    return write_part(folder / f"{number:06}", made, features, rows)


def make_parts(folder: Path, num_parts: int, num_rows: int, unsafe: bool = False) -> Parts:
    """Write parts of random features."""
    numbers = range(num_parts)
    return Parts(tuple(make_part(folder, n, unit_vectors(num_rows, seed=n), unsafe) for n in numbers))


def png(width: int, height: int, colour: str = "red") -> bytes:
    """Return a picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def make_video(path: Path, colours: list[str], seconds_each: float = 1.0, rate: int = 10) -> Path:
    """Write a video that shows one colour after the other."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for colour in colours:
            picture = Image.new("RGB", (64, 48), colour)
            for _ in range(round(seconds_each * rate)):
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


@contextmanager
def serving(searcher: Searcher, **settings: object) -> Iterator[int]:
    """Serve the page of an index on a free port of this machine, and give the port."""
    asked = ServeSettings(index=searcher.folder, port=0, **settings)  # type: ignore[arg-type]
    loop, ports = asyncio.new_event_loop(), list[int]()
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        runner = web.AppRunner(make_app(asked, searcher), access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, asked.host, 0, backlog=1024).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="page")
    thread.start()
    assert ready.wait(20)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
