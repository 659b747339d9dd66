"""Whether a worker pool answers: python -m pipeline.pool_health HOST:PORT, for health checks of containers.

It loads nothing of Beam, since it is asked every half minute.
"""

import sys

import grpc

ALIVE = "/openwit.WorkerPool/Alive"  # the pool's call: a driver's name in, the ids of its living workers out
WITHIN_S = 5.0


def healthy(pool: str) -> bool:
    """Return whether the pool at HOST:PORT answers in time: it can count its workers, so no lock is held."""
    with grpc.insecure_channel(pool) as channel:
        try:
            # A driver of no workers, which the pool forgets by itself.
            channel.unary_unary(ALIVE)(b"health", timeout=WITHIN_S)
        except grpc.RpcError as error:
            print(f"{pool} does not answer: {error.code().name.lower()}", file=sys.stderr)
            return False
    return True


if __name__ == "__main__":
    sys.exit(0 if healthy(sys.argv[1]) else 1)
