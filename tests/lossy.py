"""Network namespaces of this machine that lose packets: where root, iproute2 and nftables are."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LOSS_PERCENT = 2
# What comes in from others is dropped at random; the kernel need not have netem for that.
RULES = f"""table ip loss {{
  chain lossy {{
    type filter hook input priority 0
    iifname != "lo" numgen random mod 100 < {LOSS_PERCENT} counter drop
  }}
}}
"""


def why_not() -> str | None:
    """Return why there can be no such namespaces here."""
    if missing := [tool for tool in ("ip", "nft") if shutil.which(tool) is None]:
        return f"needs {', '.join(missing)} (apt-get install iproute2 nftables)"
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    try:
        with _namespace("probe"):
            return None
    except subprocess.CalledProcessError as error:
        return f"this kernel makes no lossy network namespace: {error.stderr.strip()}"


def inside(name: str) -> tuple[str, ...]:
    """Return what to put before a command that runs in a namespace."""
    return ("ip", "netns", "exec", _full(name))


@contextmanager
def star(centre: str, others: list[str]) -> Iterator[dict[str, str]]:
    """Give namespaces, each of the others joined to the centre by a wire that loses packets both ways: the
    addresses of the others by name. All reach the centre at its first address."""
    with ExitStack() as stack:
        for name in (centre, *others):
            stack.enter_context(_namespace(name))
        for number, name in enumerate(others, 1):
            _join(centre, name, number)
            if number > 1:
                _run(*inside(name), "ip", "route", "add", "10.77.1.0/24", "via", f"10.77.{number}.1")
        yield {name: f"10.77.{number}.2" for number, name in enumerate(others, 1)}


def _join(centre: str, other: str, number: int) -> None:
    ends = ((centre, f"w{number}", 1), (other, "w", 2))
    (_, near, _), (_, far, _) = ends
    wire = ("ip", "link", "add", near, "netns", _full(centre), "type", "veth", "peer", "name", far)
    _run(*wire, "netns", _full(other))
    for name, device, last in ends:
        _run(*inside(name), "ip", "address", "add", f"10.77.{number}.{last}/24", "dev", device)
        _run(*inside(name), "ip", "link", "set", device, "up")


def num_lost(name: str) -> int:
    """Return how many packets a namespace has lost."""
    rules = _run(*inside(name), "nft", "list", "ruleset").split()
    return int(rules[rules.index("packets") + 1])


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _run("ip", "netns", "add", _full(name))
    try:
        _run(*inside(name), "ip", "link", "set", "lo", "up")
        _run(*inside(name), "nft", "-f", "-", given=RULES)
        yield
    finally:
        _run("ip", "netns", "del", _full(name))


def _full(name: str) -> str:
    return f"openwit-{os.getpid()}-{name}"


def _run(*command: str, given: str | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, input=given).stdout
