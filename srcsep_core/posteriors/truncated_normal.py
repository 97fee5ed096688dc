"""The normal distribution cut off at two bounds: every source given the mix, in the thesis' variational separation.

Far outside of its bounds a normal has next to no mass between them, and the usual formulas subtract nearly equal
numbers. Here the mass is a difference of logarithms on the side where they are small, samples are quantiles found in
the logarithm, and moments are integrals over the part that has mass; all of it in float64. Derivatives of samples are
those of the quantile at a fixed probability, which need no inverse.

Sources: Frank 2020, "Modeling the posteriors"; Figurnov, Mohamed and Mnih 2018 (arXiv 1805.08498), Eq. 6, for the
derivatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor
from torch.special import log_ndtr

from srcsep_core.errors import InputError

LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
LOG_MOST = math.log(0.1)
NODES = 64  # of the quadrature for moments
FALL = 40.0  # nats below its top, where a density has no mass left
NEWTON_STEPS = 8
LEAST = 1e-12  # how near to 0 and 1 a probability is that samples are drawn at


@dataclass(frozen=True)
class TruncatedNormal:
    """Normal distributions of `location` and `scale` (both of one shape), cut off at `low` and `high`.

    `location` may lie outside of the bounds. Raises `InputError` for bounds that are crossed, scales that are not
    positive, and anything that is not finite.
    """

    location: Tensor
    scale: Tensor
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise InputError(f"the bounds {self.low:g} and {self.high:g} are crossed; give the lower one first")
        for name, value in (("location", self.location), ("scale", self.scale)):
            if not bool(value.isfinite().all()):
                raise InputError(f"a {name} of the truncated normal is not finite; check the encoder that gave it")
        if float(self.scale.detach().min()) <= 0:
            raise InputError(
                f"a scale of the truncated normal is {float(self.scale.detach().min()):g}; use positive ones"
            )

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Location and scale in float64, and the bounds in units of the scale from the location."""
        location, scale = self.location.double(), self.scale.double()
        return location, scale, (self.low - location) / scale, (self.high - location) / scale

    @cached_property
    def log_mass(self) -> Tensor:
        """The logarithm of the normal's mass between the bounds."""
        _, _, low, high = self._parts
        return log_mass_between(low, high)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density (nats) at `x`, of the same shape; -inf outside of the bounds."""
        location, scale, _, _ = self._parts
        value = -((x.double() - location) / scale).square() / 2 - scale.log() - LOG_ROOT_2PI - self.log_mass
        inside = (x >= self.low) & (x <= self.high)
        return torch.where(inside, value, -torch.inf).to(self.location)

    def cdf(self, x: Tensor) -> Tensor:
        """The probability of less than `x`."""
        location, scale, low, _ = self._parts
        z = (x.double().clamp(self.low, self.high) - location) / scale
        return (log_mass_between(low, z) - self.log_mass).exp().clamp(0, 1).to(self.location)

    def quantile(self, p: Tensor) -> Tensor:
        """The value below which a share `p` lies; differentiable in location and scale, not in `p`."""
        location, scale, low, high = self._parts
        with torch.no_grad():
            p = p.double()
            upper = low + high > 0  # the side where the tail is thinner is the negative one
            near, far, share = (
                torch.where(upper, -high, low),
                torch.where(upper, -low, high),
                torch.where(upper, 1 - p, p),
            )
            log_share = torch.logaddexp(log_ndtr(near), share.log() + log_mass_between(near, far))
            found = normal_quantile_of_log(log_share)
            z = torch.where(upper, -found, found).clamp(low, high)
            at_low = ((1 - p).log() + (z.square() - low.square()) / 2).exp()
            at_high = (p.log() + (z.square() - high.square()) / 2).exp()
            by_location = 1 - at_low - at_high
            by_scale = z - at_low * low - at_high * high
            x = (location + scale * z).clamp(self.low, self.high)
        moved = x + by_location * (location - location.detach()) + by_scale * (scale - scale.detach())
        return moved.to(self.location)

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw, with derivatives by location and scale."""
        p = torch.rand(self.location.shape, generator=generator, device=self.location.device, dtype=torch.float64)
        return self.quantile(p.clamp(LEAST, 1 - LEAST))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        top, offsets, weights = self._quadrature
        return (top + (weights * offsets).sum(dim=-1)).to(self.location)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        _, offsets, weights = self._quadrature
        middle = (weights * offsets).sum(dim=-1, keepdim=True)
        return (weights * (offsets - middle).square()).sum(dim=-1).to(self.location)

    @property
    def entropy(self) -> Tensor:
        """The differential entropy (nats): in closed form where most of the normal lies between the bounds.

        Elsewhere that form subtracts nearly equal numbers, and it is an integral as moments are.
        """
        whole = self.log_mass.detach() > LOG_MOST
        if bool(whole.all()):
            return self._closed_entropy
        value = torch.zeros_like(self.location)
        if bool(whole.any()):
            value = value.masked_scatter(whole, self.of(whole)._closed_entropy)
        return value.masked_scatter(~whole, self.of(~whole)._integrated_entropy)

    def of(self, chosen: Tensor) -> TruncatedNormal:
        """Some of the distributions, by a mask."""
        return TruncatedNormal(self.location[chosen], self.scale[chosen], self.low, self.high)

    @property
    def _closed_entropy(self) -> Tensor:
        _, scale, low, high = self._parts
        edges = sum(sign * z * (-z.square() / 2 - self.log_mass).exp() for sign, z in ((1, low), (-1, high)))
        half_square = (1 + edges * math.exp(-LOG_ROOT_2PI)) / 2
        return (half_square + scale.log() + LOG_ROOT_2PI + self.log_mass).to(self.location)

    @property
    def _integrated_entropy(self) -> Tensor:
        location, scale, _, _ = self._parts
        top, offsets, weights = self._quadrature
        z = (top[..., None] + offsets - location[..., None]) / scale[..., None]
        return ((weights * z.square()).sum(dim=-1) / 2 + scale.log() + LOG_ROOT_2PI + self.log_mass).to(self.location)

    @property
    def _quadrature(self) -> tuple[Tensor, Tensor, Tensor]:
        """The place of the highest density, and nodes beside it, as offsets, with the probability of each (..., N)."""
        location, scale, _, _ = self._parts
        with torch.no_grad():
            top = location.clamp(self.low, self.high)
            steep = (top - location).abs() / scale
            reach = scale * 2 * FALL / (steep + (steep.square() + 2 * FALL).sqrt())
            begin, end = (top - reach).clamp_min(self.low) - top, (top + reach).clamp_max(self.high) - top
            nodes, areas = (x.to(top.device) for x in _gauss_legendre(NODES))
            offsets = (begin + end)[..., None] / 2 + (end - begin)[..., None] / 2 * nodes
        away = (top - location)[..., None]
        fall = -offsets * (offsets + 2 * away) / (2 * scale[..., None].square())
        weights = areas * fall.exp()
        return top, offsets, weights / weights.sum(dim=-1, keepdim=True)


def log_mass_between(low: Tensor, high: Tensor) -> Tensor:
    """The logarithm of the standard normal's mass between `low` and `high` (float64); -inf where they meet."""
    upper = low + high > 0
    near, far = torch.where(upper, -high, low), torch.where(upper, -low, high)
    both = far <= 0
    safe_far, safe_near = torch.where(both, far, 0.0), torch.where(both, near, -1.0)
    tail = log_ndtr(safe_far) + _log_one_minus_exp(log_ndtr(safe_near) - log_ndtr(safe_far))
    across = torch.log1p(-(torch.special.ndtr(near) + torch.special.ndtr(-torch.where(both, 0.0, far))))
    return torch.where(both, tail, across)


def _log_one_minus_exp(x: Tensor) -> Tensor:
    """log(1 - e^x) of x <= 0."""
    return torch.where(x > -math.log(2), torch.log(-torch.expm1(x)), torch.log1p(-x.exp()))


def normal_quantile_of_log(log_p: Tensor) -> Tensor:
    """The quantile of the standard normal at a probability given by its logarithm (float64), by Newton's method.

    The logarithm of the distribution function is concave, so that from the left of the root every step stays there.
    """
    tail = -(-2 * log_p).clamp_min(0).sqrt()
    x = torch.where(log_p < -10, tail, torch.special.ndtri(log_p.exp()))
    for _ in range(NEWTON_STEPS):
        value = log_ndtr(x)
        step = (value - log_p) * (value + x.square() / 2 + LOG_ROOT_2PI).exp()
        x = x - torch.where(step.isfinite(), step, 0.0)
    return x


@cache
def _gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """The nodes and weights of a quadrature over -1..1."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy(nodes), torch.from_numpy(weights)
