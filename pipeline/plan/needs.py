"""What so many pairs take, wherever they come from: cores, hours, traffic, disk. Nothing is looked at."""

from dataclasses import dataclass

from pipeline.config import BuildConfig, RunOptions
from pipeline.limits import require
from pipeline.plan.predict import Assumed
from pipeline.plan.sample import HOUR_S
from pipeline.select import NUM_LANES


@dataclass(frozen=True, kw_only=True)
class Rates:
    """CPU time and memory of a build, a worker being one core. Defaults: `make bench NAME=scale` and
    `NAME=fetch` on 2 cores AMD EPYC (Zen 5), photos of 640 x 480."""

    candidates_per_fetched: float = 14.0
    """Candidates that are read for each pair that is fetched. An estimate for Common Crawl: of its alt texts
    45 % are English, half of these hold a term, 30 % of those repeat a URL, and the cap lets 45 % of the rest
    through. A list of URLs may have 2."""
    candidate_bytes: float = 500.0
    """To be read for a candidate: of a WAT file of Common Crawl."""
    candidate_us: float = 80.0
    """To read a candidate, match and screen it, and drop repeats."""
    fetch_us: float = 2_400.0
    """To download, decode, resize, hash and encode a picture."""
    row_us: float = 150.0
    """Everything else, for each pair that is fetched: caps, copies, order, shards."""
    driver_us: float = 14.0
    """The driver's, for each pair that is fetched. Nothing divides it."""
    driver_bytes: float = 2_000.0
    """The driver's memory for each pair that is fetched, by the direct runner: it holds a shuffle whole."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            require(
                getattr(self, name) > 0, getattr(self, name), f"rates.{name.replace('_', '-')} must be > 0"
            )


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a build of so many pairs takes."""

    num_pairs: int
    num_fetched: int
    """A request each, but for redirects, and for robots.txt and tdmrep.json of each host."""
    num_candidates: int
    num_shards: int
    workers: int
    find_hours: float
    fetch_hours: float
    rows_hours: float
    driver_hours: float
    crawl_bytes: int
    """Of the files that candidates are read from."""
    download_bytes: int
    """Of pictures."""
    stored_bytes: int
    disk_bytes: int
    """The work folder and the dataset at their largest."""
    driver_memory_bytes: int

    @property
    def hours(self) -> float:
        """All phases, one after the other."""
        return self.find_hours + self.fetch_hours + self.rows_hours + self.driver_hours

    @property
    def gbit_per_s(self) -> float:
        """What comes in while pictures are fetched."""
        return self.download_bytes * 8 / 1e9 / (self.fetch_hours * HOUR_S)


def needs_of(
    num_pairs: int, config: BuildConfig, options: RunOptions, assumed: Assumed, rates: Rates
) -> Needs:
    """Return what a build of `num_pairs` takes. Raises ValueError for none.

    The fetch takes what its processors or what hosts and networks (`assumed.pictures_per_s`) allow, whichever
    is longer; of workers it has no use for more than there are lanes of hosts.
    """
    require(num_pairs >= 1, num_pairs, "num-pairs must be >= 1")
    num_fetched = num_pairs / config.cap.survival
    num_candidates = num_fetched * rates.candidates_per_fetched
    picture_s = max(rates.fetch_us / 1e6, 1 / assumed.pictures_per_s)
    stored_bytes = num_pairs * assumed.stored_bytes
    return Needs(
        num_pairs=num_pairs,
        num_fetched=round(num_fetched),
        num_candidates=round(num_candidates),
        num_shards=-(-num_pairs // config.pairs_per_shard),
        workers=options.workers,
        find_hours=num_candidates * rates.candidate_us / 1e6 / options.workers / HOUR_S,
        fetch_hours=num_fetched * picture_s / min(options.workers, NUM_LANES) / HOUR_S,
        rows_hours=num_fetched * rates.row_us / 1e6 / options.workers / HOUR_S,
        driver_hours=num_fetched * rates.driver_us / 1e6 / HOUR_S,
        crawl_bytes=round(num_candidates * rates.candidate_bytes),
        download_bytes=round(num_fetched * assumed.picture_bytes),
        stored_bytes=stored_bytes,
        disk_bytes=2 * stored_bytes,
        driver_memory_bytes=round(num_fetched * rates.driver_bytes),
    )
