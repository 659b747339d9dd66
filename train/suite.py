"""Many evaluations of a run by one command: python -m train eval all, from a file that names them.

    [[eval]]
    kind = "zero_shot"
    name = "cifar10"
    data = "data/cifar10/test"
    templates = "photo"

Each table holds the flags of `python -m train eval <kind>`, without dashes.
"""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.evals import EVALS

Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Run all evaluations of a file into one report; features are computed once for all of them.

    Example: python -m train eval all --run runs/cifar10 --suite suite.toml --against runs/before
    """

    run: Path
    """Its newest checkpoint is evaluated."""
    suite: Path
    """A TOML file with a table [[eval]] for each evaluation: kind, name and its flags."""
    against: Path | None = None
    """An earlier run, whose figures stand beside this one's in the report."""

    def requests(self) -> list[tuple[str, list[str]]]:
        """Return each evaluation's kind and flags. Raises ValueError for a file that names none."""
        try:
            fields = tomllib.loads(self.suite.read_text("utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{self.suite} is no TOML file: {error}. Next: correct it") from error
        tables = fields.get("eval")
        if not isinstance(tables, list) or not tables or fields.keys() != {"eval"}:
            raise ValueError(
                f"{self.suite} holds no [[eval]], or other tables. Next: one for each evaluation"
            )
        return [self._request(table) for table in tables]

    def _request(self, table: Table) -> tuple[str, list[str]]:
        kind: str = table.get("kind", "")
        if kind not in EVALS or "name" not in table:
            raise ValueError(
                f"{self.suite}: kind is {kind!r} and name {table.get('name')!r}, must be one of "
                f"{', '.join(EVALS)} and a name. Next: correct it"
            )
        flags = ["--run", str(self.run)]
        for name, value in table.items():
            if name != "kind":
                flags += _flag(name.replace("_", "-"), value)
        return kind, flags


def run_suite(suite: Suite, evaluate: Callable[[str, Sequence[str]], str]) -> list[str]:
    """Call `evaluate` for each and return the failures, a line each; one ends none of the others."""
    failures = []
    for kind, flags in suite.requests():
        try:
            print(evaluate(kind, flags), flush=True)
        except ValueError as error:
            failures.append(f"{kind} {flags[flags.index('--name') + 1]}: {error}")
    return failures


def _flag(name: str, value: object) -> list[str]:
    """Return a field as it would be typed.

    >>> _flag("shots", [1, 2]), _flag("only", True), _flag("only", False)
    (['--shots', '1', '2'], ['--only'], ['--no-only'])
    """
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *map(str, values)]
