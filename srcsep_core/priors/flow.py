"""The normalizing-flow prior: any invertible transform and a base density make a prior on the waveform.

`Flow` is the density of one or several sources by any `Transform` that keeps the shape (rows, 1, T); which blocks it is
made of is the business of a builder such as `srcsep_core.priors.flowavenet.flowavenet`. `FlowPrior` is one source's.

Sources: Rezende & Mohamed 2015 (arXiv 1505.05770), Eq. 5; Frank & Ilse 2020, Eqs. 6-7; thesis "Prior architecture",
Eqs. 38-45. Deviates from print: log |det| for Eq. 38; -1/2 (log 2 pi + z^2) for Eq. 45.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from srcsep_core.checks import check_waveform
from srcsep_core.errors import InputError
from srcsep_core.flows.base import Transform
from srcsep_core.nn.levels import NoiseRange
from srcsep_core.nn.wavenet import copy_group
from srcsep_core.priors.base import GradientPrior, check_single


class FlowTerms(NamedTuple):
    """The two halves of the log-likelihood by position, and the latent, each of shape (rows, 1, T).

    log_pz: log-density of the latent, the learned Gaussians of factored-out channels included (the number the
    authors report); log_det: what the released evaluation leaves out. Their sum is the exact log-likelihood.
    """

    z: Tensor
    log_pz: Tensor
    log_det: Tensor


class Base(Protocol):
    """The density of the latent, independent from position to position."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density in nats by position: (rows, 1, T) to the same shape."""
        ...

    def sample(
        self,
        shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Tensor:
        """Draw a latent of shape (rows, 1, T); a generator may live on another device than the result."""
        ...


class StandardNormal(Base):
    """Normal(0, 1) at every position, drawn on the generator's device and then moved."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (math.log(2 * math.pi) + z.square())

    def sample(
        self,
        shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> Tensor:
        source = generator.device if generator is not None else device
        return torch.randn(shape, generator=generator, device=source, dtype=dtype).to(device)


class Flow(nn.Module):
    """The density of `groups` sources by one transform of rows (B * groups, 1, T).

    Row r belongs to group r mod groups. The transform keeps the shape of the rows and mixes neither rows nor groups, so
    one grouped flow equals as many separate ones. T must be a multiple of `multiple_of`. `levels` is for a transform
    that is conditioned on the noise level. `single` makes the same flow with one group, which `extract` fills.
    """

    def __init__(
        self,
        transform: Transform,
        base: Base | None = None,
        *,
        groups: int = 1,
        multiple_of: int = 1,
        levels: NoiseRange | None = None,
        single: Callable[[], Flow] | None = None,
    ) -> None:
        super().__init__()
        self.transform = transform
        self.base: Base = base or StandardNormal()
        self.groups = groups
        self.multiple_of = multiple_of
        self.levels = levels
        self.single = single

    def terms(self, x: Tensor, context: Tensor | None = None) -> FlowTerms:
        """Latent, log p_Z and log |det| by position for rows `x` of shape (B * groups, 1, T)."""
        z, log_det, learned = self.transform.book(x, context)
        return FlowTerms(z, self.base.log_prob(z) + learned, log_det.expand_as(z))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The waveform rows (B * groups, 1, T) of a latent of the same shape."""
        return self.transform.inverse_map(z, context)[0]

    def context(self, sigma: Tensor | float | None, rows: int) -> Tensor | None:
        """The condition (rows, channels, 1) of a noise-conditional flow, None of any other.

        `sigma` is one level for all, or one a row, of shape (rows,); see `NoiseRange.condition`. Raises `InputError`
        if a level is missing or out of range.
        """
        levels = self.levels
        if levels is None:
            return None
        if sigma is None:
            raise InputError("this network is conditioned on the noise level; pass sigma")
        return levels.condition(sigma, rows, like=next(self.parameters()))

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Exact log-likelihood in nats of every source's signal under its own flow: (B, G, T) to (B, G)."""
        terms = self.source_terms(x, sigma)
        return (terms.log_pz + terms.log_det).sum(dim=2)

    def source_terms(self, x: Tensor, sigma: Tensor | float | None = None) -> FlowTerms:
        """`terms` for (B, G, T) signals, source g under flow g; each result of shape (B, G, T).

        `sigma` (one for all, or (B,)) is for a noise-conditional flow only.
        """
        self.check(x, channels=self.groups)
        rows = x.reshape(-1, 1, x.shape[2])
        if isinstance(sigma, Tensor) and sigma.ndim:
            sigma = sigma.repeat_interleave(self.groups)
        terms = self.terms(rows, self.context(sigma, len(rows)))
        return FlowTerms(*(values.reshape(x.shape) for values in terms))

    def check(self, x: Tensor, channels: int = 1) -> None:
        """Raise `InputError` unless this flow can take the signals `x` of shape (B, channels, T)."""
        precision = next(self.parameters()).dtype
        check_waveform(x, multiple_of=self.multiple_of, channels=channels, dtype=precision)

    def extract(self, group: int) -> Flow:
        """A copy of one group's flow as a flow of its own; raises `InputError` if it was built without `single`."""
        if self.single is None:
            if self.groups > 1:
                raise InputError(f"this flow of {self.groups} groups cannot be taken apart; build it with `single`")
            return copy.deepcopy(self)
        return copy_group(self, self.single(), group)


class FlowPrior(GradientPrior, nn.Module):
    """The flow prior of one source, trained at noise level `sigma` (standard deviation; 0: noise-free)."""

    def __init__(self, flow: Flow, sigma: float = 0.0) -> None:
        super().__init__()
        check_single(flow.groups)
        self.flow = flow
        self.sigma = sigma

    def log_prob(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Exact log-likelihood in nats, summed over time: (B, 1, T) to (B,); `sigma` as in `level`."""
        return self.log_prob_map(x, sigma).sum(dim=1)

    def log_prob_map(self, x: Tensor, sigma: float | None = None) -> Tensor:
        """Log-likelihood by sample, (B, 1, T) to (B, T): log p_Z and log |det| at each sample's position."""
        terms = self._terms(x, self.level(sigma))
        return (terms.log_pz + terms.log_det)[:, 0]

    def terms(self, x: Tensor) -> FlowTerms:
        """Latent, log p_Z and log |det| by sample, each (B, 1, T)."""
        return self._terms(x, self.sigma)

    def _terms(self, x: Tensor, sigma: float) -> FlowTerms:
        self.flow.check(x)
        return self.flow.terms(x, self.flow.context(sigma, len(x)))

    @property
    def sigma_range(self) -> tuple[float, float] | None:
        """The lowest and the highest noise level (std) of a noise-conditional flow, None of any other."""
        levels = self.flow.levels
        return None if levels is None else (levels.low, levels.high)

    def level(self, sigma: float | None) -> float:
        """The noise level to use: the one trained at, or for a noise-conditional flow one in its range.

        Raises `InputError` for one that this prior does not have.
        """
        fixed = self.flow.levels is None
        if sigma is not None and fixed and not math.isclose(sigma, self.sigma, rel_tol=1e-6):
            raise InputError(
                f"this prior was trained at sigma {self.sigma:g}, not {sigma:g}; load the one for that level"
            )
        return self.sigma if sigma is None else sigma

    @torch.no_grad()
    def sample(
        self,
        shape: tuple[int, int, int],
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw signals of shape (B, 1, T); `temperature` scales the latent."""
        reference = next(self.parameters())
        z = self.flow.base.sample(shape, generator, device=reference.device, dtype=reference.dtype)
        self.flow.check(z)
        return self.flow.inverse(z * temperature, self.flow.context(self.sigma, len(z)))
