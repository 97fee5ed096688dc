"""The contract of an invertible transform, and its composition and inverse.

A transform works on rows (B, C, T), some under a condition `context` (B, channels, 1) that both directions
share. `forward` and `inverse` each return the result and the log-determinant of the direction called, of shape
(B,). Convolutional flows have a log-determinant that is a sum over positions; `forward_map` and `inverse_map` keep
that sum open, which is what a likelihood map by sample needs. A density reads `book`: the log-determinant once more,
with what a `Split` learned about the channels that it takes out on an account of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Booked(NamedTuple):
    """A result and its log-determinant by position on two accounts, each broadcastable to the result's shape.

    `log_det` and `learned` sum to the log-determinant by position. `learned` is the part that makes a standard
    normal the learned Gaussian of factored-out channels, which belongs to log p_Z; it is 0 without a `Split`.
    """

    y: Tensor
    log_det: Tensor
    learned: Tensor


class Transform(nn.Module, ABC):
    """A bijection of (B, C, T) tensors; subclasses write `forward_map` and `inverse_map`.

    One that moves values to other channels or positions writes `rearrange` and `restore` too.
    """

    @abstractmethod
    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The result and the log-determinant by position, broadcastable to the result's shape.

        Summed over all but the first axis it is the log-determinant. Positions are those of the result.
        """

    @abstractmethod
    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `forward_map` for the inverse: undoes it, with the inverse's own log-determinant by position."""

    def book(self, x: Tensor, context: Tensor | None = None) -> Booked:
        """As `forward_map`, with the log-determinant on two accounts."""
        y, by_position = self.forward_map(x, context)
        return Booked(y, by_position, y.new_zeros(()))

    def rearrange(self, values: Tensor) -> Tensor:
        """Move values that belong to the input's positions to where `forward` moves these positions."""
        return values

    def restore(self, values: Tensor) -> Tensor:
        """Undo `rearrange`."""
        return values

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the transform; returns the result and its log-determinant, (B,)."""
        return _summed(*self.forward_map(x, context))

    def inverse(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo `forward`; returns the input and the log-determinant of the inverse, (B,)."""
        return _summed(*self.inverse_map(y, context))


class Compose(Transform):
    """Transforms applied one after the other; log-determinants add up."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def __iter__(self) -> Iterator[Transform]:
        for transform in self.transforms:
            assert isinstance(transform, Transform)
            yield transform

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, log_det, learned = self.book(x, context)
        return y, log_det + learned

    def book(self, x: Tensor, context: Tensor | None = None) -> Booked:
        total, learned = torch.zeros_like(x), x.new_zeros(())
        for transform in self:
            x, by_position, part = transform.book(x, context)
            total = transform.rearrange(total) + by_position
            # One zero for all positions, the usual case, need not be moved.
            learned = (transform.rearrange(learned) if learned.ndim else learned) + part
            learned = learned.expand_as(x) if learned.ndim else learned
        return Booked(x, total, learned)

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(y)
        for transform in reversed(list(self)):
            y, by_position = transform.inverse_map(y, context)
            total = transform.restore(total) + by_position
        return y, total

    def rearrange(self, values: Tensor) -> Tensor:
        for transform in self:
            values = transform.rearrange(values)
        return values

    def restore(self, values: Tensor) -> Tensor:
        for transform in reversed(list(self)):
            values = transform.restore(values)
        return values


class Inverse(Transform):
    """A transform with its two directions exchanged."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse_map(x, context)

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.forward_map(y, context)

    def rearrange(self, values: Tensor) -> Tensor:
        return self.transform.restore(values)

    def restore(self, values: Tensor) -> Tensor:
        return self.transform.rearrange(values)


def _summed(result: Tensor, by_position: Tensor) -> tuple[Tensor, Tensor]:
    return result, by_position.expand_as(result).sum(dim=(1, 2))
