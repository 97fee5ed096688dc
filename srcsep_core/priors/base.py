"""The contracts that the parts of the library meet on.

What samplers ask of a prior is its denoiser, the posterior mean of a clean signal given a noisy one. It is the prior's
score in other words: D(x) = x + sigma^2 grad log p_sigma(x) (Tweedie's formula; Robbins 1956, Efron 2011). A prior may
offer more, which samplers find out by these protocols and never by its class.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError


@runtime_checkable
class DenoisingPrior(Protocol):
    """A prior that can be denoised with; enough for every sampler."""

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The posterior mean of the clean signals given `x` (B, 1, T), in noise of std `sigma`; same shape."""
        ...


@runtime_checkable
class ScorePrior(Protocol):
    """A prior whose noisy score can be evaluated, and which can be sampled."""

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Gradient of log p_sigma at `x` of shape (B, 1, T); same shape."""
        ...

    def sample(self, shape: tuple[int, int, int], generator: torch.Generator | None = None) -> Tensor:
        """Draw signals of shape (B, 1, T)."""
        ...


@runtime_checkable
class DensityPrior(Protocol):
    """A prior with a density at a noise level; enough for Metropolis steps.

    `isinstance` sees the name of the method alone; `has_noisy_density` also looks at what it takes.
    """

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density in nats of signals in noise of level `sigma`, summed over time: (B, 1, T) to (B,)."""
        ...


@runtime_checkable
class PosteriorPrior(Protocol):
    """A prior that can draw the clean signal given a noisy one exactly."""

    def posterior_sample(self, x: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        """Draws from p(clean | clean + N(0, sigma^2) = x): (B, 1, T) to the same shape."""
        ...


@runtime_checkable
class JointDenoiser(Protocol):
    """What several priors share, and what can answer for all of them in one call."""

    def denoise_rows(self, x: Tensor, sigma: float, labels: Tensor) -> Tensor:
        """The posterior mean of rows (M, 1, T), row m under the prior with label `labels[m]`; same shape."""
        ...


@runtime_checkable
class SharingPrior(DenoisingPrior, Protocol):
    """A prior that is one label of a `JointDenoiser`."""

    @property
    def shared(self) -> JointDenoiser:
        """The denoiser that it shares with other priors."""
        ...

    @property
    def label(self) -> int:
        """Which of the priors it is there."""
        ...


@runtime_checkable
class Prior(DenoisingPrior, ScorePrior, DensityPrior, Protocol):
    """A prior with a denoiser, a score, samples and a density."""


def has_noisy_density(prior: object) -> TypeGuard[DensityPrior]:
    """Whether `prior` has a `log_prob` that takes a noise level `sigma`."""
    log_prob = getattr(prior, "log_prob", None)
    return callable(log_prob) and "sigma" in inspect.signature(log_prob).parameters


def score_of(prior: DenoisingPrior, x: Tensor, sigma: float) -> Tensor:
    """The score of `prior` at `x` (B, 1, T) by Tweedie's formula, (D(x) - x) / sigma^2; same shape.

    Raises `InputError` unless sigma is above 0.
    """
    if not sigma > 0:
        raise InputError(f"sigma is {sigma:g}; a denoiser has a score at a noise level above 0")
    return (prior.denoise(x, sigma) - x) / sigma**2


def denoised_from_score(x: Tensor, score: Tensor, sigma: float) -> Tensor:
    """The posterior mean by Tweedie's formula, x + sigma^2 score, for `x` and `score` of one shape."""
    return x + sigma**2 * score


def gradient_of(log_density: Callable[[Tensor], Tensor], x: Tensor, *, rows: int | None = None) -> Tensor:
    """The gradient of `log_density`, (B, 1, T) to (B,), at `x` by automatic differentiation; shape of `x`.

    At most `rows` signals are differentiated at once. Raises `InputError` if the result does not depend on `x` in a
    way that can be differentiated.
    """
    parts = []
    for some in x.split(rows or len(x)):
        with torch.enable_grad():
            leaf = some.detach().requires_grad_(True)
            value = log_density(leaf)
            if not value.requires_grad:
                raise InputError("this log-density has no gradient; use a prior with a score or a denoiser of its own")
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        parts.append(gradient)
    return torch.cat(parts)


def check_single(groups: int) -> None:
    """Raise `InputError` unless a network is of one source, as a prior's must be."""
    if groups != 1:
        raise InputError(f"a prior is of one source but the network has {groups} groups; use extract(group)")


def check_drawn(shape: tuple[int, int, int]) -> tuple[int, int]:
    """How many signals of how many samples to draw for a shape (B, 1, T); raises `InputError` for several channels."""
    batch, channels, length = shape
    if channels != 1:
        raise InputError(f"a prior of one source draws one channel, not {channels}; use (B, 1, T)")
    return batch, length


def fresh_generator(device: torch.device) -> torch.Generator:
    """A generator seeded by the operating system, for who was given none."""
    generator = torch.Generator(device)
    generator.seed()
    return generator


class GradientPrior(ABC):
    """Score and denoiser of a prior with a density, by the density's gradient.

    `rows`: how many signals are differentiated at once at most.
    """

    rows: int | None = None

    @abstractmethod
    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density in nats of signals in noise of level `sigma`, summed over time: (B, 1, T) to (B,)."""

    def level(self, sigma: float | None) -> float:
        """The noise level to use; raises `InputError` for one that this prior does not have."""
        if sigma is None:
            raise InputError("this prior has no noise level of its own; pass sigma")
        return sigma

    def score(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Gradient of the log-density at `x`, (B, 1, T); raises `InputError` if there is none or not at this level."""
        level = self.level(sigma)
        check_waveform(x, channels=None)
        return gradient_of(lambda leaf: self.log_prob(leaf, level), x, rows=self.rows)

    def denoise(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """The posterior mean of the clean signal given the noisy `x`, x + sigma^2 score: (B, 1, T).

        A noise-free prior gives `x` back.
        """
        level = self.level(sigma)
        return denoised_from_score(x, self.score(x, level), level)


class DensityDenoiser(GradientPrior):
    """The denoiser of a prior that has nothing but a density, by the density's gradient; the density stays."""

    def __init__(self, prior: DensityPrior) -> None:
        if not has_noisy_density(prior):
            raise InputError(f"a {type(prior).__name__} has no density at a noise level; it needs log_prob(x, sigma)")
        self.prior = prior

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-density in nats of the prior, (B, 1, T) to (B,)."""
        return self.prior.log_prob(x, sigma)
