"""Objects as the YAML that people expect of a job file: no anchors, and lines of a script as lines."""

from collections.abc import Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> Any:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(documents: Sequence[Any]) -> str:
    """Return one document or several, their keys in the order given.

    >>> print(to_yaml([{"run": "one\\ntwo\\n", "nodes": 2}]), end="")
    run: |
      one
      two
    nodes: 2
    """
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1000))
