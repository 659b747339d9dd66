"""The examples in the docstrings of `filters` run and say what they say."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import filters

MODULES = sorted(path.stem for path in Path(filters.__file__).parent.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(import_module(f"filters.{name}")).failed == 0
