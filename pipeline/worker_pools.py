"""The driver's side of worker pools: workers are dealt to pools in turn, and watched.

Beam's runner waits for ever for a worker that is gone. So the pools are asked, again and again, whether they
are there and their workers live; what does not answer ends the build, which a rerun goes on with.
"""

import itertools
import os
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability import common_urns
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_fn_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from apache_beam.transforms.environments import ExternalEnvironment

LOST = "/openwit.WorkerPool/Lost"
POLL_S = 0.5
ANSWER_S = 10.0  # of one question, for networks that lose packets
MAX_SILENCES = 3
REFUSED_WAIT_S = 1.0
ARRIVAL_S = 120.0  # of a worker at the driver
LOST_STATUS = 1
EXTERNAL = common_urns.environments.EXTERNAL.urn


class PoolWorker(GrpcWorkerHandler):
    """A worker of one pool, as Beam's runner sees it."""

    def __init__(self, fleet: "Fleet", pool: str, *beams: Any) -> None:
        self.fleet, self.pool = fleet, pool
        super().__init__(*beams)

    def host_from_worker(self) -> str:
        """Return this machine's address, one for all pools: Beam tells all workers that of the first."""
        return self.fleet.host

    def start_worker(self) -> None:
        """Ask the pool for a worker. Raises RuntimeError where it cannot start one."""
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        request = beam_fn_api_pb2.StartWorkerRequest(
            worker_id=self.worker_id,
            control_endpoint=control,
            artifact_endpoint=control,
            provision_endpoint=control,
            logging_endpoint=self.logging_api_service_descriptor(),
            params={"driver": self.fleet.driver, "folder": str(Path.cwd())},
        )
        self.fleet.watch(self)
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(self.fleet.channels[self.pool])
        try:
            error = stub.StartWorker(request, timeout=ARRIVAL_S).error
        except grpc.RpcError as gone:
            raise RuntimeError(f"worker pool {self.pool} does not answer ({_in_words(gone)})") from gone
        if error:
            raise RuntimeError(f"pool {self.pool} could not start a worker: {error.strip().splitlines()[-1]}")

    def close(self) -> None:
        """Let the worker end; its end is not a loss any more."""
        self.fleet.forget(self)
        super().close()

    def stop_worker(self) -> None:
        """Do nothing: the worker ends with its connection."""

    def has_arrived(self) -> bool:
        """Return whether the worker has found its way to this driver."""
        return self.control_conn._input is not None  # no public name says so


class Fleet:
    """The pools of one run, for `with`: inside, Beam's EXTERNAL environment is theirs."""

    def __init__(self, pools: Sequence[str]) -> None:
        self.pools, self.driver = tuple(pools), uuid.uuid4().hex
        self.turns, self.host = itertools.cycle(self.pools), address_for(self.pools)
        self.workers: dict[PoolWorker, float] = {}  # and when each was asked for
        self.lock, self.over = threading.Lock(), threading.Event()

    @property
    def environment(self) -> ExternalEnvironment:
        """What Beam is told; its one address stands for all pools."""
        return ExternalEnvironment(self.pools[0])

    def __enter__(self) -> "Fleet":
        self.channels = {pool: grpc.insecure_channel(pool) for pool in self.pools}
        for pool in self.pools:
            if (fault := self.fault_of(pool)) is not None:
                self._close()
                start = f"python -m pipeline pool --port {pool.rpartition(':')[2]}"
                raise RuntimeError(f"worker pool {pool} does not answer ({fault}): start one there, {start}")
        self.previous = WorkerHandler._registered_environments[EXTERNAL]
        WorkerHandler.register_environment(EXTERNAL, beam_runner_api_pb2.ExternalPayload)(self._worker)
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        WorkerHandler._registered_environments[EXTERNAL] = self.previous
        self._close()

    def _close(self) -> None:
        for channel in self.channels.values():
            channel.close()

    def _worker(self, _payload: object, *beams: Any) -> PoolWorker:
        return PoolWorker(self, next(self.turns), *beams)

    def watch(self, worker: PoolWorker) -> None:
        """Watch a worker from now on."""
        with self.lock:
            self.workers[worker] = time.monotonic()

    def forget(self, worker: PoolWorker) -> None:
        """Watch a worker no more."""
        with self.lock:
            self.workers.pop(worker, None)

    def lost_in(self, pool: str) -> set[str]:
        """Return the ids of this driver's workers that have ended there. Raises grpc.RpcError."""
        ask = self.channels[pool].unary_unary(LOST)
        answer: bytes = ask(self.driver.encode(), timeout=ANSWER_S)
        return set(answer.decode().split())

    def fault_of(self, pool: str) -> str | None:
        """Return why a pool is taken for dead, None for one that answers."""
        for silence in range(1, MAX_SILENCES + 1):
            try:
                self.lost_in(pool)
            except grpc.RpcError as error:
                if silence == MAX_SILENCES or self.over.wait(REFUSED_WAIT_S):
                    return _in_words(error)
            else:
                return None
        return None

    def _watch(self) -> None:
        while not self.over.wait(POLL_S):
            for pool in self.pools:
                if (problem := self._problem_of(pool)) and not self.over.is_set():
                    _end(problem)

    def _problem_of(self, pool: str) -> str | None:
        """Return what is wrong with a pool or one of its workers."""
        try:
            lost = self.lost_in(pool)
        except grpc.RpcError:
            fault = self.fault_of(pool)
            return f"worker pool {pool} does not answer ({fault})" if fault else None
        with self.lock:
            mine = {worker: since for worker, since in self.workers.items() if worker.pool == pool}
        if any(worker.worker_id in lost for worker in mine):
            return f"a worker process of pool {pool} was killed"
        late = [
            w for w, since in mine.items() if time.monotonic() - since > ARRIVAL_S and not w.has_arrived()
        ]
        if late:
            return f"a worker of pool {pool} cannot reach this driver at {self.host}: a firewall?"
        return None


def address_for(pools: Sequence[str]) -> str:
    """Return this machine's address on the way to the pools: of another machine, if one is on another."""
    own = [local_address_towards(pool) for pool in pools]
    return next((address for address in own if address not in ("127.0.0.1", "[::1]")), own[0])


def local_address_towards(pool: str) -> str:
    """Return this machine's address on the way to HOST:PORT, as a URL has it."""
    host, _, port = pool.rpartition(":")
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), int(port), type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as way:
        way.connect(address)  # of a datagram socket: nothing is sent
        own: str = way.getsockname()[0]
    return f"[{own}]" if family == socket.AF_INET6 else own


def _in_words(error: grpc.RpcError) -> str:
    return str(error.code().name).lower().replace("_", " ")


def _end(problem: str) -> None:
    message = f"build stopped: {problem}. What is done is kept; run the same command again.\n"
    os.write(2, message.encode())
    os._exit(LOST_STATUS)
