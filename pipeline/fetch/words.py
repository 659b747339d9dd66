"""img2dataset's words for what went wrong, as our reasons."""

import re

from filters.reasons import Drop, Reason

# The first that is found in its error_message: words of Python's urllib, ssl and socket, and its own.
_FETCH = (
    (r"X-Robots-Tag", Reason.OPTED_OUT),
    (r"redirect error|infinite loop", Reason.TOO_MANY_REDIRECTS),
    (r"HTTP Error 429", Reason.RATE_LIMITED),
    (r"HTTP Error \d+", Reason.HTTP_ERROR),
    (r"timed out", Reason.TIMEOUT),
    (r"not a public address", Reason.ADDRESS_NOT_PUBLIC),
    (
        r"Name or service|name resolution|nodename nor|No address associated|getaddrinfo",
        Reason.NAME_NOT_RESOLVED,
    ),
    (r"SSL|CERTIFICATE|certificate|TLS", Reason.TLS_FAILED),
    (r"IncompleteRead", Reason.ANSWER_CUT_SHORT),
    (r"BadStatusLine|LineTooLong|got more than|HTTP/", Reason.ANSWER_MALFORMED),
    (r"unknown url type|no host given|nonnumeric port|URL can't|codec can't|IDNA|label", Reason.URL_INVALID),
    (r"hash mismatch", Reason.HASH_MISMATCH),
)
_IMAGE = (
    (r"image too small", Reason.IMAGE_TOO_SMALL),
    (r"area too large|too many pixels|CV_IO_MAX_IMAGE", Reason.IMAGE_TOO_MANY_PIXELS),
    (r"aspect ratio", Reason.IMAGE_EXTREME_ASPECT),
    (r"memory", Reason.IMAGE_TOO_MUCH_MEMORY),
)


def drop_of_words(stage: str, words: str) -> Drop:
    """Return the Drop that an error_message stands for, at stage fetch (its status failed_to_download) or
    image (failed_to_resize); its own words stay as the detail.

    >>> str(drop_of_words("fetch", "HTTP Error 404: Not Found"))
    'http_error: img2dataset: HTTP Error 404: Not Found'
    """
    known, rest = (_FETCH, Reason.CONNECTION_FAILED) if stage == "fetch" else (_IMAGE, Reason.IMAGE_CORRUPT)
    reason = next((reason for pattern, reason in known if re.search(pattern, words)), rest)
    return Drop(reason, f"img2dataset: {words.strip()[:200]}")
