"""What all autoencoder priors share: frames, a Gaussian decoder, their sets, and how they are trained and loaded.

An autoencoder has no likelihood that can be computed, but a lower bound of it: the protocol `bound`. Decoders are
Gaussian with a learned deviation, so that it bounds a density of the waveform in the unit of every other prior's.

Source: Kingma & Welling 2014 (arXiv 1312.6114); proposal, "The VAE framework"; NSynth (Engel et al. 2017, arXiv
1704.01279), which encodes with a dilated stack as here. Deviates from NSynth: its decoder is an autoregressive
WaveNet, of which the frames here are independent given the codes; a WaveNet is a prior by itself, and explains a
signal without asking the codes (Chen et al. 2017, arXiv 1611.02731), which are what this one is for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from srcsep_core.checks import check_waveform
from srcsep_core.config import check_least
from srcsep_core.nn.autoencoder import FrameStack, GaussianOutput, from_frames, to_frames
from srcsep_core.nn.wavenet import copy_group
from srcsep_core.priors.base import check_drawn, check_single, fresh_generator
from srcsep_core.priors.kinds import Kind, Task, restored
from srcsep_core.priors.sets import Trained

BATCH_SAMPLES = 65_536


@dataclass(frozen=True)
class AutoencoderConfig:
    """Frames of `frame` samples, `latent` numbers for each; encoder and decoder of `layers` layers of `width` channels.

    Raises `InputError` for a size below 1, or layers below 0.
    """

    frame: int = 80
    latent: int = 16
    width: int = 48
    layers: int = 2

    def __post_init__(self) -> None:
        check_least(self, 1, "frame", "latent", "width")
        check_least(self, 0, "layers")


class Autoencoder(nn.Module, ABC):
    """The autoencoders of `groups` sources, side by side: signals (B, G, T), source g by group g.

    T must be a multiple of the frame. Every method raises `InputError` for signals that it cannot take.
    """

    def __init__(self, config: AutoencoderConfig, groups: int, encoded: int) -> None:
        super().__init__()
        self.config = config
        self.groups = groups
        width, layers = config.width, config.layers
        self.encoder = FrameStack(config.frame, encoded, width=width, layers=layers, groups=groups)
        self.decoder = FrameStack(config.latent, config.frame, width=width, layers=layers, groups=groups, zero=True)
        self.output = GaussianOutput(groups)

    @abstractmethod
    def losses(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Loss, then its terms, of signals (B, G, T): a row each, a column a source, in nats/sample."""

    @abstractmethod
    def bound(self, x: Tensor) -> Tensor:
        """A lower bound of the log-likelihood, in nats and summed over time: (B, G, T) to (B, G)."""

    @abstractmethod
    def latent(self, x: Tensor) -> Tensor:
        """What the decoder reconstructs signals (B, G, T) from, (B * G, latent, N)."""

    @abstractmethod
    def codes(self, x: Tensor) -> Tensor:
        """What the N frames of signals (B, G, T) are encoded by; of B * G rows."""

    @abstractmethod
    def draw(self, rows: int, frames: int, generator: torch.Generator) -> Tensor:
        """Latents (rows, latent, frames) drawn from their prior, on the device and in the precision of the network."""

    def frames(self, x: Tensor) -> Tensor:
        """The frames (B * G, frame, N) of signals (B, G, T); raises `InputError` if they are not to be taken."""
        precision = next(self.parameters()).dtype
        check_waveform(x, multiple_of=self.config.frame, channels=self.groups, dtype=precision)
        return to_frames(x.reshape(-1, 1, x.shape[2]), self.config.frame)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoder's mean given the codes of signals, (B, G, T) to the same shape."""
        return from_frames(self.decoder(self.latent(x))).view(x.shape)

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Standard normal numbers, drawn on the generator's device, then moved to the network."""
        drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return drawn.to(next(self.parameters()))

    def extract(self, group: int) -> Self:
        """A copy of one group's autoencoder as a network of its own."""
        return copy_group(self, type(self)(self.config, 1), group)  # type: ignore[call-arg, arg-type]


class AutoencoderPrior(nn.Module):
    """The autoencoder of one source. It has no `log_prob` and no score, but a `bound`."""

    def __init__(self, net: Autoencoder) -> None:
        super().__init__()
        check_single(net.groups)
        self.net = net

    def bound(self, x: Tensor) -> Tensor:
        """A lower bound of the log-likelihood in nats, summed over time: (B, 1, T) to (B,)."""
        return self.net.bound(x)[:, 0]

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoder's mean given the codes of signals, (B, 1, T) to the same shape."""
        return self.net.reconstruct(x)

    @torch.no_grad()
    def codes(self, x: Tensor) -> Tensor:
        """The codes of the N frames of signals (B, 1, T): means (B, latent, N), or indices (B, N) of a codebook."""
        return self.net.codes(x)

    @torch.no_grad()
    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Signals (B, 1, T) drawn from the model, with the decoder's noise."""
        batch, length = check_drawn(shape)
        generator = generator or fresh_generator(next(self.parameters()).device)
        noise = self.net.noise((batch, 1, length), generator)
        frames = len(self.net.frames(noise)[0, 0])
        mean = from_frames(self.net.decoder(self.net.draw(batch, frames, generator)))
        return mean + self.net.output.sigma * noise


@dataclass(frozen=True)
class AutoencoderSet(Trained):
    """Trained autoencoders, in one grouped network."""

    net: Autoencoder

    @property
    def multiple_of(self) -> int:
        """What the length of a signal must be a multiple of."""
        return self.net.config.frame

    def at(self, sigma: float) -> AutoencoderSet:
        """The same priors, if they have the level; raises `InputError` for another one."""
        return self.other_level(sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """`bound`."""
        return {"bound": self.net.bound(x.to(next(self.net.parameters()).device)).double() / x.shape[2]}

    def prior(self, source: str) -> AutoencoderPrior:
        """One source's prior, cut out of the grouped network."""
        return AutoencoderPrior(self.net.extract(self.index(source)))


def autoencoder_kind(name: str, config: type, build: Callable[[Any, int], Autoencoder], terms: tuple[str, ...]) -> Kind:
    """The kind of all autoencoders that `build(config, groups)` makes; `terms` name what their losses give."""

    def task(size: Any, groups: int, objective: str) -> Task:
        def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
            return cast(Autoencoder, network).losses(x, generator)

        return Task(name, lambda: build(size, groups), losses, terms, size.frame)

    def load(size: Any, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> AutoencoderSet:
        return AutoencoderSet(**vars(about), net=restored(build(size, len(about.sources)), weights, device))

    return Kind(name, name, name, config, task, load, density=True, scored=False, batch_samples=BATCH_SAMPLES)
