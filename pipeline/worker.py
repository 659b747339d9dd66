"""A worker process of a build: Beam's own, which ends when the process that started it is gone."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping

from apache_beam.runners.worker import sdk_worker_main

POLL_S = 0.5
PARTING_S = 0.2
DRIVER = "OPENWIT_DRIVER"  # its process id, in the environment


def main() -> None:
    """Work until the driver says that it is done, or is no more: Beam's worker would wait for it for ever."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)  # it tells of each step's handlers
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is the driver's to speak of
    # Told, not looked up: a driver that was killed while this process began is not its parent any more.
    threading.Thread(target=_end_with, args=(int(os.environ[DRIVER]),), daemon=True).start()
    sdk_worker_main.main(sys.argv)


def run_harness(folder: str, settings: Mapping[str, str]) -> None:
    """Work in a process that a pool has started, in the driver's folder, as long as both are there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    threading.Thread(target=_end_with_pool, daemon=True).start()
    os.chdir(folder)  # paths of the driver mean the same here
    os.environ |= settings
    sdk_worker_main.main(sys.argv)
    # A forked process ends at once; the last words to the driver are still on their way.
    time.sleep(PARTING_S)


def _end_with(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(POLL_S)
    os._exit(1)


def _end_with_pool() -> None:
    pool = multiprocessing.parent_process()
    assert pool is not None, "not started by a pool"
    pool.join()
    os._exit(1)


if __name__ == "__main__":
    main()
