"""What a plan costs, at prices that are given: none is known here."""

from dataclasses import dataclass

from pipeline.limits import require

MONTH_HOURS = 730.0
PARTS = ("core_hour", "traffic_gb", "disk_gb_month", "stored_gb_month")


@dataclass(frozen=True, kw_only=True)
class Prices:
    """In any one currency; what is left out is not added up."""

    core_hour: float | None = None
    """An hour of a worker's core."""
    traffic_gb: float | None = None
    """A GB that comes in from the web."""
    disk_gb_month: float | None = None
    """A GB of the work folder's disk, paid for as long as the build takes."""
    stored_gb_month: float | None = None
    """A GB of the dataset in its store, for a month."""
    source: str = ""
    """Whose prices, and of which day."""

    def __post_init__(self) -> None:
        for name in PARTS:
            value = getattr(self, name)
            require(value is None or value >= 0, value, f"prices.{name.replace('_', '-')} must be >= 0")
        if self and not self.source:
            raise ValueError(
                "prices.source: none, and a price means nothing without. "
                "Next: --prices.source 'WHOSE, YYYY-MM-DD'"
            )

    def __bool__(self) -> bool:
        """Return whether any price is given."""
        return any(getattr(self, name) is not None for name in PARTS)


def costs_of(
    prices: Prices, *, workers: int, hours: float, download_bytes: int, disk_bytes: int, stored_bytes: int
) -> dict[str, float]:
    """Return the cost of each part that has a price."""
    amounts = {
        "cores": (workers * hours, prices.core_hour),
        "traffic": (download_bytes / 1e9, prices.traffic_gb),
        "disk": (disk_bytes / 1e9 * hours / MONTH_HOURS, prices.disk_gb_month),
        "a month in the store": (stored_bytes / 1e9, prices.stored_gb_month),
    }
    return {part: amount * price for part, (amount, price) in amounts.items() if price is not None}
