"""The contract of an invertible transform, and its composition and inverse.

A transform works on rows (B, C, T), some under a condition `context` (B, channels, 1) that both directions
share. `forward` and `inverse` each return the result and the log-determinant of the direction called, of shape
(B,). Convolutional flows have a log-determinant that is a sum over positions; `forward_map` keeps that sum open,
which is what a per-sample likelihood map needs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Transform(nn.Module):
    """A bijection of (B, C, T) tensors; subclasses write `forward_map` and `inverse`."""

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The result and the log-determinant by position, broadcastable to the result's shape.

        Summed over all but the first axis it is the log-determinant. Positions are those of the result.
        """
        raise NotImplementedError

    def rearrange(self, values: Tensor) -> Tensor:
        """Move values that belong to the input's positions to where `forward` moves these positions."""
        return values

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo `forward`; returns the input and the log-determinant of the inverse, (B,)."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the transform; returns the result and its log-determinant, (B,)."""
        y, by_position = self.forward_map(x, context)
        return y, by_position.expand_as(y).sum(dim=(1, 2))


class Compose(Transform):
    """Transforms applied one after the other; log-determinants add up."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(x)
        for transform in self.transforms:
            assert isinstance(transform, Transform)
            x, by_position = transform.forward_map(x, context)
            total = transform.rearrange(total) + by_position
        return x, total

    def rearrange(self, values: Tensor) -> Tensor:
        for transform in self.transforms:
            assert isinstance(transform, Transform)
            values = transform.rearrange(values)
        return values

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = y.new_zeros(y.shape[0])
        for transform in reversed(self.transforms):
            assert isinstance(transform, Transform)
            y, part = transform.inverse(y, context)
            log_det = log_det + part
        return y, log_det


class Inverse(nn.Module):
    """A transform with its two directions exchanged; it has no position-wise log-determinant."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of the wrapped transform and its log-determinant, (B,)."""
        return self.transform.inverse(x, context)

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The wrapped transform itself."""
        result: tuple[Tensor, Tensor] = self.transform(y, context)
        return result
