"""What a person sees of a fetch while it runs, from the counters of all workers."""

import sys
import time
from collections import Counter, deque
from pathlib import Path

from tqdm import tqdm

from pipeline.progress import Looks, counts_in, interval_of

WINDOW_S = 10.0
NUM_ERRORS = 5
# Look-ups that get no answer: so many of so large a share are no accident.
MIN_NAMES, MAX_FAILED_SHARE = 200, 0.03
DROPPED = "/dropped/"


class LiveFetch:
    """The fetch under way: how far it is, and what is to be said of it."""

    def __init__(self, tallies: Path) -> None:
        self._counts = Looks(lambda: counts_in(tallies), tallies, Counter[str]())
        self._window_s = max(WINDOW_S, 3 * interval_of(tallies))
        self._recent: deque[tuple[float, Counter[str]]] = deque([(time.monotonic(), Counter())])
        self._warned = False

    def num_done(self) -> int:
        """Return how many pairs have come to their end."""
        return num_done(self._counts())

    def note(self) -> str:
        """Return the rates of the last seconds, the success so far and its most frequent errors; warn once,
        on standard error, where names are not resolved."""
        now, counts = time.monotonic(), self._counts()
        while len(self._recent) > 1 and now - self._recent[0][0] > self._window_s:
            self._recent.popleft()
        then, before = self._recent[0]
        self._recent.append((now, counts))
        if not self._warned and (warning := names_warning(counts)):
            self._warned = True
            tqdm.write(warning, file=sys.stderr)
        return live_line(counts, before, now - then)


def num_done(counts: Counter[str]) -> int:
    """Return how many pairs were fetched and looked at, or given up."""
    return counts["image/out"] + sum(number for _, number in errors_in(counts))


def errors_in(counts: Counter[str]) -> list[tuple[str, int]]:
    """Return the reasons for which pairs were dropped, the most frequent first."""
    dropped = Counter[str]()
    for name, number in counts.items():
        if DROPPED in name:
            dropped[name.partition(DROPPED)[2]] += number
    return sorted(dropped.items(), key=lambda item: (-item[1], item[0]))


def live_line(counts: Counter[str], before: Counter[str], seconds: float) -> str:
    """Return one line: rates since `before`, which was so long ago, and shares of all so far.

    >>> live_line(Counter({"image/out": 30, "fetch/bytes": 10**7, "fetch/dropped/timeout": 10}), Counter(), 2)
    '15 images/s, 5.0 MB/s, 75 % good; timeout 10'
    """
    images, num_bytes = (counts[name] - before[name] for name in ("image/out", "fetch/bytes"))
    rates = f"{images / seconds:.0f} images/s, {num_bytes / seconds / 1e6:.1f} MB/s" if seconds else "starts"
    good = f", {100 * counts['image/out'] / done:.0f} % good" if (done := num_done(counts)) else ""
    errors = ", ".join(f"{reason} {number:,}" for reason, number in errors_in(counts)[:NUM_ERRORS])
    waiting = f"; {counts['hosts/waiting']:,} hosts waiting" if counts["hosts/waiting"] else ""
    return f"{rates}{good}" + (f"; {errors}" if errors else "") + waiting


def names_warning(counts: Counter[str]) -> str | None:
    """Return what to say when names are not resolved, None while they are.

    >>> names_warning(Counter({"names/asked": 1000, "names/failed": 30})) is None
    True
    >>> (names_warning(Counter({"names/asked": 1000, "names/failed": 31})) or "")[:52]
    'warning: 31 of 1,000 names could not be looked up (3'
    """
    asked, failed = counts["names/asked"], counts["names/failed"]
    if asked < MIN_NAMES or failed <= MAX_FAILED_SHARE * asked:
        return None
    share = f"{100 * failed / asked:.0f} %"
    return (
        f"warning: {failed:,} of {asked:,} names could not be looked up ({share}): their pictures are lost, "
        "not gone. Next: python -m pipeline doctor; later: python -m pipeline retry "
        "--where reason=name_not_resolved"
    )
