"""The multi-scale structure of a flow: blocks between squeezes, half of whose channels may leave early.

A flow of several scales is a nest of transforms, each of which puts back in place what it squeezed:

    Compose([Squeeze(), *steps, Split(Compose([Squeeze(), *steps, Inverse(Squeeze())]), coupling), Inverse(Squeeze())])
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from srcsep_core.flows.base import Booked, Compose, Inverse, Transform
from srcsep_core.flows.layers import Squeeze


class Split(Transform):
    """(a, b) to (inner(a), the standardised b): the second half of the channels is factored out.

    `coupling` is any transform that leaves the first half of the channels as it is, such as an `AffineCoupling`.
    That gives b a learned Gaussian, Normal(b; t(a), exp(log_s(a))), whose log-density is that of the standard
    normal at the standardised b, plus the coupling's log-determinant: `book` has it under `learned`. None leaves b
    as it is, a standard normal (Dinh et al. 2017). `inner`, the rest of the flow, keeps the shape of a.

    Source: Kim et al. 2019 (arXiv 1811.02155), section 3.3; Dinh et al. 2017 (arXiv 1605.08803), section 3.6.
    """

    def __init__(self, inner: Transform, coupling: Transform | None = None) -> None:
        super().__init__()
        self.coupling = coupling
        self.inner = inner

    def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, log_det, learned = self.book(x, context)
        return y, log_det + learned

    def book(self, x: Tensor, context: Tensor | None = None) -> Booked:
        learned = torch.zeros_like(x)
        if self.coupling is not None:
            x, by_position = self.coupling.forward_map(x, context)
            learned = by_position.expand_as(x)
        (a, b), (_, learned_b) = x.chunk(2, dim=1), learned.chunk(2, dim=1)
        a, log_det, learned_a = self.inner.book(a, context)
        return Booked(
            torch.cat([a, b], dim=1),
            torch.cat([log_det.expand_as(a), torch.zeros_like(b)], dim=1),
            torch.cat([learned_a.expand_as(a), learned_b], dim=1),
        )

    def inverse_map(self, y: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        a, b = y.chunk(2, dim=1)
        a, log_det = self.inner.inverse_map(a, context)
        x, by_position = torch.cat([a, b], dim=1), torch.cat([log_det.expand_as(a), torch.zeros_like(b)], dim=1)
        if self.coupling is None:
            return x, by_position
        x, part = self.coupling.inverse_map(x, context)
        return x, by_position + part

    def rearrange(self, values: Tensor) -> Tensor:
        kept, out = values.chunk(2, dim=1)
        return torch.cat([self.inner.rearrange(kept), out], dim=1)

    def restore(self, values: Tensor) -> Tensor:
        kept, out = values.chunk(2, dim=1)
        return torch.cat([self.inner.restore(kept), out], dim=1)


def nest(
    steps: Callable[[int, int], list[Transform]],
    *,
    blocks: int,
    split_every: int = 0,
    split: Callable[[int], Transform | None] = lambda channels: None,
    index: int = 1,
    channels: int = 2,
) -> Compose:
    """Block `index` of `channels` channels with all blocks after it, which it holds; keeps the shape of its input.

    It is a squeeze, `steps(index, channels)`, the later blocks, and the squeeze undone. After every `split_every`
    blocks but the last (0: never) half of the channels is factored out under the coupling `split(channels)`.
    """
    made: list[Transform] = [Squeeze(), *steps(index, channels)]
    if index < blocks:
        leave = split_every > 0 and index % split_every == 0
        coupling = split(channels) if leave else None
        inner = nest(
            steps,
            blocks=blocks,
            split_every=split_every,
            split=split,
            index=index + 1,
            channels=channels if leave else 2 * channels,
        )
        made.append(Split(inner, coupling) if leave else inner)
    return Compose([*made, Inverse(Squeeze())])
