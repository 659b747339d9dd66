"""Pictures as the page shows them, the last ones kept in memory."""

import threading
from collections import OrderedDict

from train.search.safe_pictures import as_shown
from train.search.searcher import Hit, Searcher

SIZES_PX = {"thumbnail": 384, "picture": 1600}
_AS_IT_IS_BYTES = {"thumbnail": 48 << 10, "picture": 2 << 20}
_KEPT_BYTES = 64 << 20

Shown = tuple[bytes, str]  # and the media type


class ShownPictures:
    """Pictures of an index by size."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._kept: OrderedDict[tuple[str, int], Shown] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    def kept(self, size: str, hit: Hit) -> Shown | None:
        """Return a picture that is in memory."""
        with self._lock:
            return self._kept.get((size, hit.id))

    def read(self, size: str, hit: Hit) -> Shown:
        """Return a picture. Raises OSError or BadPictureError where it is not to be had."""
        data = self._searcher.picture(hit)
        shown = as_shown(data, SIZES_PX[size], _AS_IT_IS_BYTES[size])
        with self._lock:
            if (size, hit.id) not in self._kept:
                self._kept[size, hit.id] = shown
                self._num_bytes += len(shown[0])
            while self._num_bytes > _KEPT_BYTES:
                _, (old, _) = self._kept.popitem(last=False)
                self._num_bytes -= len(old)
        return shown
