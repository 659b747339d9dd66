"""The examples in the docstrings of `train` run and say what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import train

ROOT = Path(train.__file__).parent
WITH_EXAMPLES = sorted(path for path in ROOT.rglob("*.py") if ">>> " in path.read_text())


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_examples_of_a_module_hold(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    tested = doctest.testmod(import_module(name))
    assert tested.attempted > 0
    assert tested.failed == 0
