"""PDQ: the 256-bit hash of pictures in which lists of abuse material are handed out.

Computed by the package pdqhash (the extra `pdq`), and only where a list asks for it. Source: Facebook, "The
TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm", 2019.
"""

import importlib.util

import numpy as np
from PIL import Image

PACKAGE = "pdqhash"
MAX_PDQ_BITS = 31  # in which a picture may differ from a listed one: what its makers advise


def check_pdq() -> None:
    """Raise ValueError where PDQ cannot be computed on this machine."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise ValueError(
            f"the do-not-fetch list holds pdq: entries, and the package {PACKAGE} is not installed: "
            'pip install "openwit[pdq]", or take those entries out'
        )


def pdq_of(image: Image.Image) -> str:
    """Return the PDQ hash of a picture as 64 hex digits, its first bit the highest."""
    import pdqhash  # an extra, wanted by few

    bits, _ = pdqhash.compute(np.asarray(image.convert("RGB")))
    return np.packbits(bits.astype(np.uint8)).tobytes().hex()
