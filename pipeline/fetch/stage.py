"""The fetch as a Beam transform: lanes of units, dealt to workers, each worker one event loop."""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline.config import BuildConfig
from pipeline.fetch.engine import fetch_units
from pipeline.fetch.peer import fetch_units_by_peer
from pipeline.limits import Network
from pipeline.progress import Tally
from pipeline.select import lanes_of_worker


class FetchUnits(beam.PTransform):
    """Units of selected pairs -> parts of pictures in `out`. Every lane is fetched by one worker."""

    def __init__(
        self,
        units: list[str],
        selected: Path,
        out: Path,
        config: BuildConfig,
        network: Network,
        tallies: Path,
        workers: int,
    ) -> None:
        super().__init__()
        self.groups = lanes_of_worker(units, workers)
        self.fetch = FetchLanes(selected, out, config, network, tallies, workers)

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | "lanes of each worker" >> beam.Create(self.groups) | "fetch" >> beam.ParDo(self.fetch)


class FetchLanes(beam.DoFn):
    """The units of some lanes -> the names of their parts."""

    def __init__(
        self,
        selected: Path,
        out: Path,
        config: BuildConfig,
        network: Network,
        tallies: Path,
        workers: int,
    ) -> None:
        self.selected, self.out, self.config, self.network, self.tallies = (
            selected,
            out,
            config,
            network,
            tallies,
        )
        self.workers = workers

    def process(self, units: list[str]) -> Iterator[str]:
        tally = Tally(self.tallies)
        if self.config.fetch.engine == "img2dataset":
            fetch_units_by_peer(units, self.selected, self.out, self.config, self.network, tally)
        else:
            fetch_units(units, self.selected, self.out, self.config, self.network, tally, self.workers)
        tally.write()
        for name, number in tally.counts.items():
            stage, _, counter = name.partition("/")
            Metrics.counter(stage, counter).inc(number)
        yield from units
