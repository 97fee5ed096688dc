"""Weights on disk: what was saved, for whoever may read new files."""

import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from srcsep_core.weights import save_weights


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_weights_are_readable_as_the_umask_says(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_weights({"a": torch.arange(3.0)}, tmp_path / "w.safetensors", {"key": "k"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "w.safetensors").stat().st_mode) == mode
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert file.metadata() == {"key": "k"} and torch.equal(file.get_tensor("a"), torch.arange(3.0))
