"""python -m pipeline.sample_web make | serve | heldout"""

import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pipeline.sample_web.heldout import make_heldout
from pipeline.sample_web.serve import ENDPOINT, serving_world
from pipeline.sample_web.world import make_world


@dataclass(frozen=True, kw_only=True)
class Make:
    """Make the sample web. Example: python -m pipeline.sample_web make --root runs/web"""

    root: Path
    """Folder for it; a finished one is left as it is."""
    num_pictures: int = 4800
    """Drawn pictures, at least 120."""
    seed: int = 0
    quiet: bool = False
    """No progress bar."""

    def run(self) -> None:
        make_world(self.root, num_pictures=self.num_pictures, seed=self.seed, quiet=self.quiet)
        print(
            f"the sample web is in {self.root}; next: python -m pipeline.sample_web serve --root {self.root}"
        )


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve a sample web until interrupted. Example: python -m pipeline.sample_web serve --root runs/web"""

    root: Path
    port: int = 8900
    """On 127.0.0.1; 0 takes a free one."""

    def run(self) -> None:
        with serving_world(self.root, port=self.port) as served:
            stop = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())
            print(f"search API: {ENDPOINT}\nconnect to: {' '.join(served.connect_to)}", flush=True)
            stop.wait()


@dataclass(frozen=True, kw_only=True)
class Heldout:
    """Make pictures that are not in a sample web, a folder per class, to evaluate on.

    Example: python -m pipeline.sample_web heldout --root runs/heldout --web runs/web
    """

    root: Path
    web: Path
    """A finished sample web."""
    num_pictures: int = 480
    seed: int = 1
    quiet: bool = False
    """No progress bar."""

    def run(self) -> None:
        make_heldout(
            self.root, web=self.web, num_pictures=self.num_pictures, seed=self.seed, quiet=self.quiet
        )
        print(f"classes are in {self.root}/objects and {self.root}/colours")


Command = (
    Annotated[Make, tyro.conf.subcommand("make")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Heldout, tyro.conf.subcommand("heldout")]
)


def main() -> int:
    """Run one command: 0 done, 2 the request was wrong."""
    command: Make | Serve | Heldout = tyro.cli(
        Command, prog="python -m pipeline.sample_web", description=__doc__
    )
    try:
        command.run()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
