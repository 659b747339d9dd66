"""faiss's IndexBinaryMultiHash on a file of hashes: all pairs within 4 bits (see neardup.py).

Three hashes of 21 bits, one bit flipped in each: of three parts of 64 bits, four wrong bits leave one with at
most one, so that nothing is missed. One thread.
"""

import json
import sys
import time

import faiss
import numpy as np


def main(path: str, max_distance: int = 4) -> None:
    """Print the CPU seconds and the number of pairs."""
    hashes = np.load(path)
    faiss.omp_set_num_threads(1)
    started = time.process_time()
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryMultiHash(64, 3, 21)
    index.nflip = 1
    index.add(codes)
    limits, distances, labels = index.range_search(codes, max_distance + 1)
    first = np.repeat(np.arange(len(hashes)), np.diff(limits.astype(np.int64)))
    keep = (first < labels) & (distances <= max_distance)
    pairs = np.unique(np.stack([first[keep], labels[keep]], axis=1), axis=0)
    print(json.dumps({"cpu_s": time.process_time() - started, "num_pairs": len(pairs)}))


if __name__ == "__main__":
    main(sys.argv[1])
