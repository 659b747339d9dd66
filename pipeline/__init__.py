"""From a list of search terms to a dataset: Beam wiring and I/O around the decisions in `filters`."""
