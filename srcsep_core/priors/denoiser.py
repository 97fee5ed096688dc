"""The denoiser: one for all sources, conditioned on the source's class and on the noise level.

It has a score at every noise level it was trained on and can be sampled, and it has no density. Its window is fixed: it
is used at the length it was trained at.

Sources: Karras et al. 2022 (EDM, arXiv 2206.00364), Eqs. 2-3, 7-8, Table 1 and Algorithm 2; Robbins 1956 and Efron
2011 for score = (D(x) - x) / sigma^2; Mariani et al. 2023 (MSDM/ISDM, arXiv 2302.02257), whose priors of single
sources are of this kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.nn.denoiser import SIGMA_RANGE, DenoiserConfig, PreconditionedNet
from srcsep_core.nn.levels import karras_levels
from srcsep_core.priors.base import score_of
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained


class ClassDenoiser(nn.Module):
    """The denoiser of one source: the shared network at one class number.

    Several of them share one network, and samplers call it once for all (`priors.base.SharingPrior`).
    """

    def __init__(self, denoiser: PreconditionedNet, label: int) -> None:
        super().__init__()
        if not 0 <= label < denoiser.config.classes:
            raise InputError(f"class {label} is not among the denoiser's {denoiser.config.classes}; use a smaller one")
        self.denoiser = denoiser
        self.label = label

    @property
    def shared(self) -> PreconditionedNet:
        """The network of all classes."""
        return self.denoiser

    @property
    def sigma_range(self) -> tuple[float, float]:
        """The lowest and the highest noise level (std) that there is a score for."""
        return SIGMA_RANGE

    @property
    def window(self) -> int:
        """The length in samples that signals must have."""
        return self.denoiser.config.window

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The estimate of the clean signal given the noisy `x`: (B, 1, T)."""
        level = _checked_level(sigma)
        if x.shape[-1] != self.window:
            raise InputError(f"the signal has {x.shape[-1]} samples but this denoiser works on {self.window}; cut it")
        check_waveform(x, dtype=next(self.parameters()).dtype)
        rows = x.new_full((len(x),), level)
        result: Tensor = self.denoiser(x, rows, torch.full((len(x),), self.label, device=x.device))
        return result

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """(D(x) - x) / sigma^2, (B, 1, T)."""
        return score_of(self, x, _checked_level(sigma))

    @torch.no_grad()
    def sample(
        self, shape: tuple[int, int, int], generator: torch.Generator | None = None, *, steps: int = 40
    ) -> Tensor:
        """Draw clean signals (B, 1, T) by reverse diffusion from sigma 10 (Karras et al. 2022, Algorithm 2).

        `steps` levels of their Eq. 5 with rho 7, the last at 0; deterministic Heun steps.
        """
        if shape[1:] != (1, self.window):
            raise InputError(f"cannot draw signals of shape {tuple(shape)}; ask for (B, 1, {self.window})")
        levels = karras_levels(10.0, 0.005, steps)
        weight = next(self.parameters())
        device = weight.device if generator is None else generator.device
        x = levels[0] * torch.randn(shape, generator=generator, device=device).to(weight)
        for here, there in zip(levels, [*levels[1:], 0.0], strict=True):
            slope = (x - self.denoise(x, here)) / here
            after = x + (there - here) * slope
            if there:
                slope = (slope + (after - self.denoise(after, there)) / there) / 2
                after = x + (there - here) * slope
            x = after
        return x


def _checked_level(sigma: float | None) -> float:
    low, high = SIGMA_RANGE
    if sigma is None or not low <= sigma <= high:
        raise InputError(f"sigma is {sigma}; this prior has a score at {low:g} to {high:g}, pass one of these")
    return float(sigma)


@dataclass(frozen=True)
class DenoiserSet(Trained):
    """The denoisers of all sources, which share one network; they have no likelihood."""

    denoiser: PreconditionedNet

    @property
    def window(self) -> int:
        """The length in samples that signals must have."""
        return self.denoiser.config.window

    def at(self, window: int) -> DenoiserSet:
        """The set for signals of `window` samples (`PreconditionedNet.at`)."""
        return replace(self, denoiser=self.denoiser.at(window))

    def rounded(self) -> DenoiserSet:
        """The set with a network in bfloat16."""
        return replace(self, denoiser=self.denoiser.rounded())

    def traced(self) -> DenoiserSet:
        """The set with a network that runs without Python between its operations."""
        return replace(self, denoiser=self.denoiser.traced())

    def prior(self, source: str) -> ClassDenoiser:
        """One source's prior."""
        return ClassDenoiser(self.denoiser, self.index(source))


def denoiser_task(config: DenoiserConfig, groups: int = 0, objective: str = "") -> Task:
    """Train one denoiser for all sources by denoising score matching at noise levels drawn afresh for every signal."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return cast(PreconditionedNet, network).loss(x, generator)[None]

    sized = replace(config, classes=groups or config.classes)
    return Task("denoiser", lambda: PreconditionedNet(sized), losses, multiple_of=config.stride, unit="")


def _load(config: DenoiserConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> DenoiserSet:
    sized = replace(config, classes=len(about.sources))
    return DenoiserSet(**vars(about), denoiser=restored(PreconditionedNet(sized), weights, device))


DENOISER = register(
    Kind(name="denoiser", step="denoiser", section="denoiser", config=DenoiserConfig, task=denoiser_task, load=_load)
)
