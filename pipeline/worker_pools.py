"""The driver's side of worker pools: workers are dealt to pools in turn, and watched.

Beam's runner waits for ever for a worker that is gone. So each pool is asked, again and again, which workers
live there. A pool that does not answer is lost, and so is what does not live: the command goes on without
(`losses`). A lost pool may be back later: it is asked before each run.
"""

import itertools
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler
from apache_beam.transforms.environments import ExternalEnvironment

from pipeline import losses
from pipeline.local_workers import making_workers
from pipeline.pool_health import ALIVE

END = "/openwit.WorkerPool/End"
POLL_S = 0.5
ANSWER_S = 10.0  # of one question, for networks that lose packets
MAX_SILENCES = 3
REFUSED_WAIT_S = 1.0
LEASE_S = 30.0  # after so long a silence of the driver a pool ends its workers: before it is taken for dead
CONNECT_S = 2.0
ARRIVAL_S = 120.0  # of a worker at the driver


class PoolWorker(GrpcWorkerHandler):
    """A worker of one pool, as Beam's runner sees it."""

    def __init__(self, fleet: "Fleet", pool: str, *beams: Any) -> None:
        self.fleet, self.pool = fleet, pool
        self.asked_at = time.monotonic()
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
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(self.fleet.channels[self.pool])
        try:
            error = stub.StartWorker(request, timeout=ARRIVAL_S).error
        except grpc.RpcError as gone:
            self.fleet.lose(self.pool, _in_words(gone))
        if error:
            raise RuntimeError(f"pool {self.pool} could not start a worker: {error.strip().splitlines()[-1]}")
        self.asked_at = time.monotonic()
        self.fleet.watch(self)

    def close(self) -> None:
        """Let the worker end; its end is not a loss any more."""
        error = sys.exc_info()[1]
        if isinstance(error, KeyboardInterrupt):  # nobody waits for the rest of its bundle
            self.fleet.end_workers(self.pool)
        elif error is not None:  # a run that fails may do so because a worker is gone
            self.fleet.look(self.pool)
        self.fleet.forget(self)
        super().close()

    def stop_worker(self) -> None:
        """Do nothing: the worker ends with its connection."""

    def is_late(self) -> bool:
        """Return whether the worker has not found its way to this driver in time."""
        arrived = self.control_conn._input is not None  # no public name says so
        return not arrived and time.monotonic() - self.asked_at > ARRIVAL_S


class Fleet:
    """The pools of one run, for `with`: inside, Beam's EXTERNAL environment is theirs."""

    def __init__(self, pools: Sequence[str]) -> None:
        self.asked, self.driver = tuple(pools), losses.owner()
        self.pools: list[str] = []
        self.answered_at: dict[str, float] = {}
        self.workers: set[PoolWorker] = set()
        self.lock, self.over = threading.Lock(), threading.Event()
        self.made = ExitStack()

    @property
    def environment(self) -> ExternalEnvironment:
        """What Beam is told; its one address stands for all pools."""
        return ExternalEnvironment(self.pools[0])

    def __enter__(self) -> "Fleet":
        with ExitStack() as made:
            self.channels = {pool: made.enter_context(grpc.insecure_channel(pool)) for pool in self.asked}
            self.pools = self._answering()
            self.turns, self.host = itertools.cycle(self.pools), address_for(self.pools)
            for pool in self.pools:
                self.end_workers(pool)  # those that are left of a run that was killed
            made.enter_context(making_workers(lambda *beams: PoolWorker(self, next(self.turns), *beams)))
            self.threads = [
                threading.Thread(target=self._watch, args=(pool,), daemon=True) for pool in self.pools
            ]
            for thread in self.threads:
                thread.start()
            self.made = made.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.made.close()

    def _answering(self) -> list[str]:
        """Return the pools that answer. Raises RuntimeError for one that never has, and where none does."""
        known, faults = losses.losses(), dict[str, str]()
        for pool in self.asked:
            fault = self.fault_of(pool, *((1, CONNECT_S) if pool in known.pools else ()))
            if fault is None:
                if pool in known.pools:
                    losses.say(f"worker pool {pool} is back")
                known.answered.add(pool)
                known.pools.discard(pool)
                continue
            faults[pool] = fault
            if pool in known.answered - known.pools and len(faults) < len(self.asked):
                losses.say(f"worker pool {pool} does not answer ({fault}); goes on without it")
                known.pools.add(pool)
        missing = [pool for pool in faults if pool not in known.answered]
        if missing or len(faults) == len(self.asked):
            pool = (missing or list(faults))[0]
            start = f"python -m pipeline pool --port {pool.rpartition(':')[2]}"
            raise RuntimeError(
                f"worker pool {pool} does not answer ({faults[pool]}): start one there, {start}"
            )
        return [pool for pool in self.asked if pool not in faults]

    def watch(self, worker: PoolWorker) -> None:
        """Watch a worker from now on."""
        with self.lock:
            self.workers.add(worker)

    def forget(self, worker: PoolWorker) -> None:
        """Watch a worker no more."""
        with self.lock:
            self.workers.discard(worker)

    def workers_of(self, pool: str) -> set[PoolWorker]:
        """Return the workers of a pool that are watched."""
        with self.lock:
            return {worker for worker in self.workers if worker.pool == pool}

    def _ask(self, question: str, pool: str, answer_s: float = ANSWER_S) -> str:
        """Return a pool's answer. Raises grpc.RpcError."""
        ask = self.channels[pool].unary_unary(question)
        answer: bytes = ask(self.driver.encode(), timeout=answer_s)
        self.answered_at[pool] = time.monotonic()
        return answer.decode()

    def end_workers(self, pool: str) -> None:
        """End this driver's workers in a pool."""
        try:
            self._ask(END, pool)
        except grpc.RpcError as gone:
            self.lose(pool, _in_words(gone))

    def fault_of(self, pool: str, max_silences: int = MAX_SILENCES, answer_s: float = ANSWER_S) -> str | None:
        """Return why a pool is taken for dead, None for one that answers."""
        for silence in range(1, max_silences + 1):
            try:
                self._ask(ALIVE, pool, answer_s)
            except grpc.RpcError as error:
                if silence == max_silences or self.over.wait(REFUSED_WAIT_S):
                    return _in_words(error)
            else:
                return None
        return None

    def _watch(self, pool: str) -> None:
        while not self.over.wait(POLL_S):
            self.look(pool)

    def look(self, pool: str) -> None:
        """Go on without a pool or a worker that is gone; this process ends with it."""
        before = self.workers_of(pool)
        try:
            alive = set(self._ask(ALIVE, pool).split())
        except grpc.RpcError:
            fault = self.fault_of(pool)
            if fault and not self.over.is_set():
                self.lose(pool, fault)
            return
        watched = before & self.workers_of(pool)
        if any(worker.worker_id not in alive for worker in watched):
            problem = f"a worker process of pool {pool} was killed"
            losses.go_on(problem, ", ".join(self.pools), self._end_all)
        if any(worker.is_late() for worker in watched):
            losses.stop(f"a worker of pool {pool} cannot reach this driver at {self.host}: a firewall?")

    def lose(self, pool: str, fault: str) -> None:
        """Go on without a pool."""
        losses.losses().pools.add(pool)
        others = ", ".join(other for other in self.pools if other not in losses.losses().pools)
        losses.go_on(f"worker pool {pool} does not answer ({fault})", others, self._end_all)

    def _end_all(self) -> None:
        """End all workers, those of lost pools too: who is silent ends them when its lease is over."""
        for pool in self.pools:
            if pool not in losses.losses().pools:
                with suppress(grpc.RpcError):
                    self._ask(END, pool)
                    continue
            lease_end = self.answered_at[pool] + LEASE_S + REFUSED_WAIT_S
            while time.monotonic() < lease_end and not nobody_listens(pool):
                time.sleep(POLL_S)


def nobody_listens(pool: str) -> bool:
    """Return whether the machine of HOST:PORT is there and says that nobody serves that port."""
    host, _, port = pool.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


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
