"""Read shards with plain webdataset, whichever version is installed; also run inside .venv-peers.

    .venv-peers/bin/python -m tests.bench.peer_webdataset 'DATASET/shards/{00000..00002}.tar'

Prints JSON: the version, and of each sample its key, caption, SHA-256 of the picture's bytes and facts.
"""

import hashlib
import json
import sys
from importlib.metadata import version
from typing import Any

import webdataset


def read_samples(tars: str) -> list[dict[str, Any]]:
    """Return every sample of the tars that a pattern stands for, in order, undecoded but for its text."""
    samples = webdataset.WebDataset(tars, shardshuffle=False)
    return [
        {
            "key": sample["__key__"],
            "caption": sample["txt"].decode(),
            "picture_sha256": hashlib.sha256(sample["jpg"]).hexdigest(),
            "facts": json.loads(sample["json"]),
        }
        for sample in samples
    ]


if __name__ == "__main__":
    print(json.dumps({"version": version("webdataset"), "samples": read_samples(sys.argv[1])}))
