"""img2dataset on a table of URLs, and imagehash on pictures. Runs in the peers' environment."""

import io
import json
import multiprocessing
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import imagehash
from img2dataset import download
from PIL import Image


def fetch(urls: str, out: str) -> int:
    """Download as img2dataset's users do, at our output's size and quality; return how many succeeded."""
    download(
        url_list=urls,
        input_format="parquet",
        url_col="url",
        caption_col="caption",
        output_folder=out,
        output_format="webdataset",
        image_size=256,
        resize_mode="keep_ratio",
        resize_only_if_bigger=True,
        encode_quality=95,
        compute_hash="sha256",
        processes_count=2,
        thread_count=64,
        number_sample_per_shard=1000,
        enable_wandb=False,
    )
    stats = (json.loads(path.read_text()) for path in Path(out).glob("*_stats.json"))
    return sum(stat["successes"] for stat in stats)


def hash_shards(folder: str) -> int:
    """Hash the stored pictures of all shards; return how many."""
    shards = [str(path) for path in sorted(Path(folder).glob("*.tar"))]
    with multiprocessing.Pool(2) as pool:
        return sum(pool.imap(_hash_shard, shards))


def _hash_shard(path: str) -> int:
    with tarfile.open(path) as tar:
        pictures = [tar.extractfile(member) for member in tar if member.name.endswith(".jpg")]
        return sum(
            imagehash.phash(Image.open(io.BytesIO(file.read()))) is not None for file in pictures if file
        )


def hash_originals(folder: str, number: str) -> int:
    """Hash so many original files, each as often as it is among them; return how many."""
    names = sorted(str(path) for path in Path(folder).glob("*.jpg"))
    chosen = [names[index % len(names)] for index in range(int(number))]
    with multiprocessing.Pool(2) as pool:
        return sum(pool.imap(_hash_file, chosen, chunksize=100))


def _hash_file(path: str) -> bool:
    return imagehash.phash(Image.open(path)) is not None


if __name__ == "__main__":
    jobs: dict[str, Callable[..., int]] = {
        "fetch": fetch,
        "hash_shards": hash_shards,
        "hash_originals": hash_originals,
    }
    print(jobs[sys.argv[1]](*sys.argv[2:]))
