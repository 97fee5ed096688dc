"""The contracts that the parts of the library meet on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class ScorePrior(Protocol):
    """A prior whose noisy score can be evaluated; enough for every gradient-based sampler."""

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Gradient of log p_sigma at `x` of shape (B, 1, T); same shape."""
        ...

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw signals of shape (B, 1, T)."""
        ...


@runtime_checkable
class DensityPrior(Protocol):
    """A prior with an exact density; enough for likelihoods and Metropolis steps."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density in nats, summed over channels and time: (B, 1, T) to (B,)."""
        ...

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw signals of shape (B, 1, T)."""
        ...


@runtime_checkable
class Prior(ScorePrior, DensityPrior, Protocol):
    """A prior with both."""
