"""Weights on disk. Reading them is safetensors' own `load_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def save_weights(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file that whoever may read a new file of this process may read.

    `safetensors.torch.save_file` gives it to the owner alone (mode 0600), whatever the umask is.
    """
    path.write_bytes(save(dict(tensors), dict(metadata)))
