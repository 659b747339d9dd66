"""The health check of a pool: it passes while the pool answers, loads no Beam, and costs the pool nothing."""

import subprocess
import sys

import pytest

from pipeline.pool_health import healthy, main
from tests.pools import end_pool, start_pool


def test_a_pool_is_healthy_until_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    pool, address = start_pool()
    assert healthy(address)
    end_pool(pool)
    assert not healthy(address)
    assert capsys.readouterr().err == f"{address} does not answer: unavailable\n"


def test_the_check_loads_no_beam() -> None:
    script = "import sys; import pipeline.pool_health; print('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"


def test_a_pool_that_is_not_named_is_asked_for_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1
