"""Worker processes of this machine: started for one run of Beam, watched, and ended with it."""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from apache_beam.transforms.environments import ExternalEnvironment
from google.protobuf import json_format, text_format

from pipeline import losses
from pipeline.worker import start_worker

POLL_S = 0.1
TELL_OF_ENDS = ("apache_beam.runners.worker.data_plane", WorkerHandler.__module__)
EXTERNAL = common_urns.environments.EXTERNAL.urn


class LocalWorker(GrpcWorkerHandler):
    """A worker process of this machine, as Beam's runner sees it."""

    def __init__(self, workers: "LocalWorkers", *beams: Any) -> None:
        self.workers = workers
        super().__init__(*beams)

    def start_worker(self) -> None:
        """Start the process."""
        settings = {
            **os.environ,
            "WORKER_ID": self.worker_id,
            "PIPELINE_OPTIONS": json_format.MessageToJson(
                self.provision_info.provision_info.pipeline_options
            ),
            "CONTROL_API_SERVICE_DESCRIPTOR": described(self.control_address),
            "LOGGING_API_SERVICE_DESCRIPTOR": described(self.logging_api_service_descriptor().url),
        }
        with self.workers.starting:
            self.process = start_worker(Path.cwd(), settings)
            self.workers.watched.add(self)

    def close(self) -> None:
        """End the worker; its end is no loss any more."""
        error = sys.exc_info()[1]
        # A run that fails may do so because a worker is gone.
        if error is not None and not isinstance(error, KeyboardInterrupt):
            self.workers.look()
        self.workers.watched.discard(self)
        super().close()

    def stop_worker(self) -> None:
        """End it: it has answered all, and to wait for its parting takes some tenths of a second a phase."""
        self.process.kill()
        self.process.join()


class LocalWorkers:
    """The worker processes of one run, for `with`: inside, Beam's EXTERNAL environment is theirs."""

    environment = ExternalEnvironment("localhost")

    def __init__(self) -> None:
        self.watched: set[LocalWorker] = set()
        self.starting, self.over = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.made = making_workers(lambda *beams: LocalWorker(self, *beams))

    def __enter__(self) -> "LocalWorkers":
        self.made.__enter__()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.made.__exit__(None, None, None)

    def _watch(self) -> None:
        while not self.over.wait(POLL_S):
            self.look()

    def look(self) -> None:
        """Go on without a worker that is gone; this process ends with it."""
        for worker in list(self.watched):
            status = worker.process.exitcode
            if status is not None and worker in self.watched:
                self._lost(status)

    def _lost(self, status: int) -> None:
        how = "was killed" if status < 0 else f"ended with status {status}"
        losses.go_on(f"a worker process {how}", "new ones", self._end_all)

    def _end_all(self) -> None:
        self.starting.acquire()  # for good: none begins after this
        for worker in list(self.watched):
            worker.process.kill()
            worker.process.join()


@contextmanager
def making_workers(make: Callable[..., WorkerHandler]) -> Iterator[None]:
    """Let `make` make the workers of Beam's EXTERNAL environment. That a connection ends is not told: who is
    gone is found, and said, by those who watch."""
    registered = WorkerHandler._registered_environments
    before = registered[EXTERNAL]
    WorkerHandler.register_environment(EXTERNAL, beam_runner_api_pb2.ExternalPayload)(
        lambda _payload, *beams: make(*beams)
    )
    hook, loggers = threading.excepthook, [logging.getLogger(name) for name in TELL_OF_ENDS]
    threading.excepthook = lambda args: None if issubclass(args.exc_type, grpc.RpcError) else hook(args)
    for logger in loggers:
        logger.addFilter(_is_no_end)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_no_end)
        threading.excepthook = hook
        registered[EXTERNAL] = before


def _is_no_end(record: logging.LogRecord) -> bool:
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, grpc.RpcError)


def described(url: str) -> str:
    """Return an address as Beam's worker reads it from its environment."""
    text: str = text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))
    return text
