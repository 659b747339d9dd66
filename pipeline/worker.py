"""A worker process of a build: Beam's own, which ends when the process that started it is gone."""

import logging
import os
import sys
import threading
import time

from apache_beam.runners.worker import sdk_worker_main

POLL_S = 0.5


def main() -> None:
    """Work until the driver says that it is done, or is no more: Beam's worker would wait for it for ever."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)  # it tells of each step's handlers
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sdk_worker_main.main(sys.argv)


def _end_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(POLL_S)
    os._exit(1)


if __name__ == "__main__":
    main()
