"""How quick a device is: measured once, kept where there is a place."""

from pathlib import Path

import pytest
import torch

from train.peak import matmul_tflops

CPU = torch.device("cpu")


def test_a_measurement_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert matmul_tflops(CPU, torch.float32) == matmul_tflops(CPU, torch.float32) > 0
    assert (tmp_path / "openwit/matmul_tflops.json").is_file()


def test_a_user_without_a_folder_of_caches_can_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert matmul_tflops(CPU, torch.float32) > 0
