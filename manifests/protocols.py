"""What stores beyond this machine need: the package that speaks to each, patience, no stale listings.

Who asks again: s3fs repeats refused, slow and cut requests by itself, with growing pauses, and botocore's
`standard` mode below it; gcsfs and adlfs do so, too; fsspec's HTTP does not, and gets a client that does.
`patiently` repeats a whole read or write where all that was not enough.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec

# The names that fsspec knows a store by, and the extra of ours which brings its package.
EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "azure"),
}
WEB = ("http", "https")
# A file shows in them when its upload is complete; in others it is written aside and renamed.
OBJECT_STORES = (*EXTRAS, "memory")
# Those that copy a file by themselves, and have done when they say so; Azure says so before.
COPYING_STORES = ("s3", "s3a", "gs", "gcs", "memory")
PAUSES_S = (0.2, 1.0, 4.0, 15.0)

BLOCK_BYTES = 8 << 20  # read ahead; s3fs itself would read 50 MiB for each picture
_S3_OPTIONS: dict[str, Any] = {
    "use_listings_cache": False,
    "default_block_size": BLOCK_BYTES,
    "max_concurrency": 8,
    "config_kwargs": {
        "retries": {"mode": "standard", "max_attempts": 8},
        "max_pool_connections": 32,
        "connect_timeout": 10,
        "read_timeout": 30,
    },
}
# What is so will be so again.
_FINAL = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
_ERRORS = (
    ("aiohttp", "ClientError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("azure.core.exceptions", "AzureError"),
    ("gcsfs.retry", "HttpError"),
)

Result = TypeVar("Result")


def options_of(protocol: str) -> dict[str, Any]:
    """Return what the file system of a protocol is made with. Raises ValueError for one that cannot be used
    here: unknown, or without its package."""
    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        fix = f"pip install 'openwit[{extra}]'" if extra else str(error)
        raise ValueError(f"{protocol}:// needs a package that is not there. Next: {fix}") from error
    except ValueError as error:
        known = ", ".join(f"{name}://" for name in (*EXTRAS, "hdfs", *WEB))
        raise ValueError(f"{protocol}:// is no known kind of place, known: {known}") from error
    if protocol in ("s3", "s3a"):
        return _S3_OPTIONS
    if protocol in WEB:
        # aiohttp is loaded only by those who need it.
        from manifests.web_client import patient_client

        return {"block_size": BLOCK_BYTES, "get_client": patient_client}
    return {"use_listings_cache": False} if protocol in EXTRAS else {}


def store_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what stores raise, OSError and what their packages have beside it, and the others, to except."""
    found = (getattr(sys.modules[module], name) for module, name in _ERRORS if module in sys.modules)
    return (OSError, *others, *found)


def first_line(error: Exception) -> str:
    """Return what an error says, in one line: that of hdfs:// has a hundred, one for each place of Java's."""
    return (str(error).splitlines() or [repr(error)])[0]


def patiently(do: Callable[[], Result]) -> Result:
    """Return what `do` returns, which is called again where a store fails, for some 20 s in all."""
    for pause_s in PAUSES_S:
        try:
            return do()
        except store_errors() as error:
            if not _may_pass(error):
                raise
            time.sleep(pause_s)
    return do()


def _may_pass(error: Exception) -> bool:
    """Return whether a failure may be another the next time: a refusal, or a lack of credentials, may not."""
    status = getattr(error, "status", None)  # of a web server
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)
    return not (refused or isinstance(error, _FINAL) or "Credentials" in type(error).__name__)
