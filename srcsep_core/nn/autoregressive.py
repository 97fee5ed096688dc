"""What grouped networks over classes share: their output by source, and drawing one sample after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from srcsep_core.checks import check_waveform
from srcsep_core.nn.wavenet import WaveNet, WaveNetConfig, copy_group

SIZES = ("layers", "width", "head_width", "kernel_size")


class ClassNet(nn.Module, ABC):
    """Independent WaveNets, one a group, that give logits of classes; source g of (B, groups, T) under network g.

    A subclass says what a network sees of a signal and what its classes mean.
    """

    def __init__(self, config: Any, groups: int = 1) -> None:
        super().__init__()
        self.config = config
        self.groups = groups
        sizes = {name: getattr(config, name) for name in SIZES}
        self.net = WaveNet(WaveNetConfig(groups=groups, causal=True, **sizes, **self.shape(config)))

    @staticmethod
    @abstractmethod
    def shape(config: Any) -> dict[str, Any]:
        """The fields of `WaveNetConfig` beside the `SIZES`: at least `in_channels` and `out_channels`."""

    def check(self, x: Tensor) -> None:
        """Raise `InputError` unless the network can take the signals `x`, (B, groups, T)."""
        check_waveform(x, channels=self.groups, dtype=next(self.parameters()).dtype)

    def outputs(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits (B, groups, classes, T) for what the network sees, (B, groups, channels, T).

        `context` is the condition of every row, (B * groups, context channels, 1).
        """
        out: Tensor = self.net(inputs.flatten(0, 1), context)
        return out.view(*inputs.shape[:2], -1, inputs.shape[3])

    def extract(self, group: int) -> Self:
        """A copy of one group's network as a network of its own."""
        return copy_group(self, type(self)(self.config, 1), group)


class AutoregressiveNet(ClassNet):
    """A causal network of two input channels whose logits at t depend on what it saw before t alone."""

    def outputs(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """As `ClassNet.outputs`, for inputs delayed by one sample."""
        return super().outputs(pad(inputs, (1, 0))[..., :-1], context)

    @torch.no_grad()
    def draw(
        self,
        batch: int,
        length: int,
        generator: torch.Generator,
        emit: Callable[[Tensor], tuple[Tensor, Tensor]],
        context: Tensor | None = None,
    ) -> Tensor:
        """Draw signals (batch, groups, length), one sample after the other with cached activations.

        `emit` turns the classes drawn, (batch * groups,), into their values and what the network sees of these,
        (batch, groups, 2, 1). The cost of a sample does not grow with the number before it (`WaveNet.step`).
        """
        memory = self.net.start()
        inputs = next(self.parameters()).new_zeros(batch * self.groups, 2)
        samples = []
        for _ in range(length):
            logits = self.net.step(inputs, memory, context)
            codes = torch.multinomial(logits.float().softmax(dim=1), 1, generator=generator)[:, 0]
            values, seen = emit(codes)
            samples.append(values)
            inputs = seen.view(-1, 2)
        return torch.stack(samples, dim=1).view(batch, self.groups, length)
