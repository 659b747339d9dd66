"""A worker pool: it starts the workers that a driver on another machine, or on this one, asks for.

It speaks Beam's own protocol of external workers, and one question more: which workers have died. It runs
whatever code its driver sends, and asks nobody who they are.
"""

import logging
import multiprocessing
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2
from apache_beam.utils import thread_pool_executor
from google.protobuf import text_format

from pipeline.limits import require
from pipeline.worker import run_harness
from pipeline.worker_pools import LOST


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


Base: Any = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer  # Beam has no types


class WorkerPool(Base):
    """Starts workers as processes of this machine."""

    def __init__(self) -> None:
        self.workers: dict[tuple[str, str], ForkServerProcess] = {}  # by driver and id
        self.lock = threading.Lock()
        # Beam and the phases are loaded once, for all workers of all phases.
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["pipeline.worker", "pipeline.build"])

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
            described = text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))
            settings[f"{name.upper()}_API_SERVICE_DESCRIPTOR"] = described
        process = self.processes.Process(target=run_harness, args=(folder, settings))
        with self.lock:
            process.start()
            self.workers[request.params.get("driver", ""), request.worker_id] = process
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(self, request: Any, _context: object) -> Any:  # noqa: N802
        """Leave the worker to end with its connection."""
        return beam_fn_api_pb2.StopWorkerResponse()

    def lost(self, driver: bytes, _context: object) -> bytes:
        """Return the ids of a driver's workers that have ended otherwise than well."""
        with self.lock:
            ended = {key: process.exitcode for key, process in self.workers.items()}
            # Those of other drivers that ended are nobody's any more.
            self.workers = {
                key: process
                for key, process in self.workers.items()
                if ended[key] is None or key[0] == driver.decode()
            }
        ids = [name for (owner, name), code in ended.items() if owner == driver.decode() and code]
        return " ".join(ids).encode()

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
    service, _, method = LOST[1:].partition("/")
    handler = grpc.unary_unary_rpc_method_handler(pool.lost)
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
    over.wait()
    server.stop(0)
    pool.close()
    sys.stdout.flush()
