"""Worker processes of a build: Beam's own, which end when the process that started them is gone.

They are forked from one that has loaded what they need: to load it anew takes a second for each worker of
each phase.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from apache_beam.runners.worker import sdk_worker_main

PARTING_S = 0.2
# By the process from which workers are forked: Beam and the phases, once for all workers of all phases.
LOADED_ONCE = ("pipeline.worker", "pipeline.build")


def start_worker(folder: Path, settings: Mapping[str, str]) -> ForkServerProcess:
    """Start a worker with these settings in its environment, which works in a folder."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([*LOADED_ONCE])
    process = processes.Process(target=_work, args=(str(folder), dict(settings)))
    process.start()
    return process


def _work(folder: str, settings: Mapping[str, str]) -> None:
    """Work until the driver says that it is done, as long as whoever started this process is there: Beam's
    worker would wait for it for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)  # it tells of each step's handlers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(folder)  # paths of the driver mean the same here
    os.environ |= settings
    sdk_worker_main.main(sys.argv)
    # A forked process ends at once; the last words to the driver are still on their way.
    time.sleep(PARTING_S)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "not started by start_worker"
    parent.join()
    os._exit(1)
