"""Deterministic choice by hash: identities, and the priority that caps, lanes and samples go by.

Nothing here is random and nothing uses Python's own `hash`, which differs from one process to the next.
"""

from hashlib import blake2b


def pair_id(url: str, caption: str) -> str:
    """Return the identity of a pair: 32 hex digits, a 128-bit BLAKE2b of its canonical URL and caption.

    >>> pair_id("https://example.com/a.jpg", "a red umbrella")
    '16817dc5538f71b5c661b4ca84ea2651'
    """
    return blake2b(f"{url}\n{caption}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


def content_key(sha256: str, caption: str) -> str:
    """Return the key of a pair in a dataset: 32 hex digits, from its picture's SHA-256 and its caption."""
    return blake2b(f"{sha256}\n{caption}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


def priority(text: str, salt: str = "") -> int:
    """Return 64 bits that depend on `text` and `salt` alone, in any process on any machine.

    To keep k of many: keep the k of lowest priority. Another `salt` gives an unrelated order, so that two
    choices in a row do not favour the same records.

    >>> priority("a red umbrella") == priority("a red umbrella", salt="cap")
    False
    """
    # A key of BLAKE2b is at most 64 bytes: a longer salt is hashed first.
    key = salt.encode(errors="surrogatepass")
    if len(key) > 64:
        key = blake2b(key, digest_size=64).digest()
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big")
