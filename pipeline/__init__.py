"""From a list of search terms to a dataset: Beam wiring and I/O around the decisions in `filters`."""

import logging

# Beam logs, when it is imported, that it has no client for a cloud that nobody asked for. This has to stand
# before that import, so it stands here.
logging.getLogger().addFilter(lambda record: "bigquery client libraries" not in record.getMessage())
