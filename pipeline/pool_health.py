"""Whether a worker pool answers: python -m pipeline.pool_health HOST:PORT, for health checks of containers.

It loads nothing of Beam, since it is asked every half minute.
"""

import sys
from collections.abc import Sequence

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


def main(arguments: Sequence[str]) -> int:
    """Ask the pool; return 0 where it answers, 1 where it does not, 2 where none is named."""
    if len(arguments) != 1:
        print("give one pool: python -m pipeline.pool_health HOST:PORT", file=sys.stderr)
        return 2
    return 0 if healthy(arguments[0]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
