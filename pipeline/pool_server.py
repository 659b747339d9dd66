"""A worker pool: it starts the workers that a driver on another machine, or on this one, asks for.

It speaks Beam's own protocol of external workers, and two questions more: which workers live, and to end them
all. A driver that asks no more is gone, or cannot reach this pool: its workers are ended. It runs whatever
code its driver sends, and asks nobody who they are.
"""

import logging
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.utils import thread_pool_executor

from pipeline.limits import require
from pipeline.local_workers import described
from pipeline.pool_health import ALIVE
from pipeline.worker import start_worker
from pipeline.worker_pools import END, LEASE_S


@dataclass(frozen=True, kw_only=True)
class PoolRequest:
    """Where a pool listens."""

    port: int
    """0: any that is free; the pool says which."""
    bind: str = "127.0.0.1"
    """Address to listen on. Whoever reaches it can run any code here: leave it at this machine, or give the
    address of a network that only your machines are in."""

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65_535, self.port, "port must be 0 to 65,535")


LOOK_S = 1.0  # between two looks for drivers that are gone

Base: Any = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer  # Beam has no types


class WorkerPool(Base):
    """Starts workers as processes of this machine."""

    def __init__(self) -> None:
        self.workers: dict[tuple[str, str], ForkServerProcess] = {}  # by driver and id
        self.heard: dict[str, float] = {}  # when each driver last asked; those of Flink and Spark never do
        self.lock = threading.Lock()

    def StartWorker(self, request: Any, _context: object) -> Any:  # noqa: N802  # Beam's name
        """Start a worker that connects to the driver."""
        folder = request.params.get("folder") or str(Path.cwd())
        if not Path(folder).is_dir():
            error = f"the driver's folder {folder} is not on this machine: pools must see the same disk"
            return beam_fn_api_pb2.StartWorkerResponse(error=error)
        settings = {
            "WORKER_ID": request.worker_id,
            "PIPELINE_OPTIONS": '{"default_sdk_harness_log_level": "ERROR"}',
        }
        for name in ("control", "logging"):
            url = getattr(request, f"{name}_endpoint").url
            settings[f"{name.upper()}_API_SERVICE_DESCRIPTOR"] = described(url)
        with self.lock:
            process = start_worker(Path(folder), settings)
            self.workers[request.params.get("driver", ""), request.worker_id] = process
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _context: object) -> Any:  # noqa: N802
        """Leave the worker to end with its connection."""
        return beam_fn_api_pb2.StopWorkerResponse()

    def alive(self, driver: bytes, _context: object) -> bytes:
        """Return the ids of a driver's workers that live; the driver has been heard of."""
        with self.lock:
            self.heard[driver.decode()] = time.monotonic()
            self.workers = {key: process for key, process in self.workers.items() if process.is_alive()}
            return " ".join(name for owner, name in self.workers if owner == driver.decode()).encode()

    def end(self, driver: bytes, _context: object) -> bytes:
        """Kill a driver's workers; return when they are dead."""
        self._end_workers_of({driver.decode()})
        return b""

    def end_forgotten(self) -> None:
        """Kill the workers of drivers that have not been heard of for too long: they take this pool for lost,
        and have the same done elsewhere."""
        with self.lock:
            late = {name for name, at in self.heard.items() if time.monotonic() - at > LEASE_S}
            self.heard = {name: at for name, at in self.heard.items() if name not in late}
        self._end_workers_of(late)

    def _end_workers_of(self, drivers: set[str]) -> None:
        with self.lock:
            ended = {key: process for key, process in self.workers.items() if key[0] in drivers}
            for key, process in ended.items():
                process.kill()
                process.join()
                del self.workers[key]

    def close(self) -> None:
        """Kill all workers."""
        with self.lock:
            for process in self.workers.values():
                process.kill()
                process.join()


def serve(request: PoolRequest) -> None:
    """Serve until a signal to end. Raises ValueError where the address cannot be had."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    options = [("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 0)]
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=options)
    pool = WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    for name, answer in ((ALIVE, pool.alive), (END, pool.end)):
        service, _, method = name[1:].partition("/")
        handler = grpc.unary_unary_rpc_method_handler(answer)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    host = f"[{request.bind}]" if ":" in request.bind else request.bind
    try:
        port = server.add_insecure_port(f"{host}:{request.port}")
    except RuntimeError as error:
        raise ValueError(
            f"{host}:{request.port} cannot be listened on: taken, or no address of this machine. "
            "Next: another --port or --bind"
        ) from error
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server.start()
    print(f"pool at {host}:{port}: it runs whatever code its driver sends", flush=True)
    while not over.wait(LOOK_S):
        pool.end_forgotten()
    server.stop(0)
    pool.close()
    sys.stdout.flush()
