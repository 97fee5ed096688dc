"""Annealed split-Gibbs sampling with swap moves and more chains where there is doubt.

At noise level sigma the model is y = sum of the sources + N(0, sigma^2). Given the other sources, what is left of y
is one source in Gaussian noise, so that its conditional is a denoising posterior: drawn exactly where the prior can,
by a short reverse diffusion elsewhere. Sigma falls from where the classes cannot yet be told apart to where they are
sharp. Single-site moves lock in: early on a source takes a component that belongs to another, and by the time the
priors can tell, neither can move alone. So two sources also propose to swap what they hold. A chain whose estimates do
not add up to the mix has failed, and is restarted. Where something else knows the mix, an encoder, its draws can be
independence proposals, accepted by Metropolis and Hastings.

Sources: Geman & Geman 1984 (Gibbs sampling and annealing); Vono et al. 2019 (split Gibbs, arXiv 1804.05809); Wu et al.
2024 (PnP-DM, arXiv 2405.18782), Algorithm 1, for the annealed denoising posterior as a Gibbs step; Metropolis et al.
1953; Hastings 1970; Tierney 1994 for independence proposals. The swap moves and new chains by residual are ours. A
`refit` swap leaves the density of its proposal out of the ratio: it is a search, not an exact step. A `metropolis`
swap, for priors with a density, keeps the sum. It and the proposals would be exact with the density of clean signals;
with that of noisy ones, which the oracle and trained priors have, they are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from srcsep_core.config import check_choice, check_least
from srcsep_core.errors import InputError
from srcsep_core.nn.levels import geometric_levels
from srcsep_core.samplers.asking import check_densities, denoise_each, doubt_of, log_prob_rows, posterior_rows
from srcsep_core.samplers.base import (
    Callback,
    Priors,
    Separation,
    State,
    Trace,
    check_mix,
    keep_best,
    residual_of,
    rms,
    sampler,
)

SWAPS = ("refit", "metropolis", "none")


@dataclass(frozen=True)
class GibbsConfig:
    """How the chains are run.

    `levels` noise levels fall geometrically from `sigma_max` to `sigma_min`, each with `sweeps` sweeps over the
    sources and `swaps` proposals to swap two of them. `draw_steps`: reverse-diffusion steps of one draw. `polish`:
    sweeps at the end in which every source becomes the posterior mean given the others. `swap`: `refit` proposes a swap
    and a fresh draw of both, accepted by the change of the residual; `metropolis` the bare swap, accepted by the
    densities; or `none`. A mix gets `max_chains` chains, one after the other, until the doubt about one is below
    `accept` times the mix (root mean squares); with `accept` 0 it gets them all. The doubt is the residual after every
    estimate was noised at `judge_sigma` and denoised by its own prior: where labels are mixed up the estimates may add
    up to the mix, but they do not survive that. With `judge_sigma` 0 it is the plain residual.
    `estimate_gains`: each source has an unknown positive gain, fitted by least squares after every sweep.
    """

    sigma_max: float = 1.5
    sigma_min: float = 0.03
    levels: int = 24
    sweeps: int = 1
    swaps: int = 2
    draw_steps: int = 4
    polish: int = 2
    swap: str = "refit"
    max_chains: int = 8
    accept: float = 0.03
    judge_sigma: float = 0.1
    estimate_gains: bool = False

    def __post_init__(self) -> None:
        geometric_levels(self.sigma_max, self.sigma_min, self.levels)
        check_least(self, 1, "sweeps", "draw_steps", "max_chains")
        check_least(self, 0, "swaps", "polish", "accept", "judge_sigma")
        check_choice("swap", self.swap, SWAPS)


class Proposal(Protocol):
    """Distributions of sources (B, K, T), which are independent from sample to sample."""

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """A draw (B, K, T)."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density (nats) of every sample, (B, K, T) to the same shape."""
        ...

    def of(self, chosen: Tensor) -> Proposal:
        """Those of some of the mixes, by a mask (B,)."""
        ...


@sampler("gibbs", GibbsConfig, windows={})
@torch.no_grad()
def gibbs(
    mix: Tensor,
    priors: Priors,
    *,
    config: GibbsConfig | None = None,
    generator: torch.Generator,
    callback: Callback | None = None,
    refine: Callable[[Tensor], Tensor] | None = None,
    start: Callable[[], Tensor] | None = None,
    propose: Callable[[float], Proposal] | None = None,
) -> Separation:
    """Separate mixes (B, 1, T) into one source a prior, projected; see the module's text and `Separation`.

    `refine` changes the sources (M, K, T) of the chains after the last level, before the polishing (see `exchange`).
    `start` draws what chains start from, (B, K, T), anew for every chain; without it that is silence. `propose` gives
    at a level the proposals for all mixes, of which every source has one after the sweeps.

    The trace has, by chain and level, averaged over the mixes that needed that chain: residual, accepted (share of
    swaps), change (root mean square of the last sweep's move), and taken (share of proposals) with `propose`. Raises
    `InputError` for a bad mix, for Metropolis swaps or proposals with priors that have no density at a noise level, and
    for proposals with unknown gains.
    """
    config = config or GibbsConfig()
    total = check_mix(mix, priors)
    if config.swap == "metropolis" or propose is not None:
        check_densities(priors)
    if propose is not None and config.estimate_gains:
        raise InputError("proposals are of sources whose gains are known; use estimate_gains=False or propose nothing")
    sigmas = geometric_levels(config.sigma_max, config.sigma_min, config.levels)
    results = mix.new_zeros(len(mix), config.max_chains, len(priors), mix.shape[2])
    residuals = mix.new_full((len(mix), config.max_chains), torch.inf)
    doubts = residuals.clone()
    wanted = config.accept * rms(mix[:, 0])
    trace = Trace()
    for restart in range(config.max_chains):
        active = doubts.amin(dim=1) > wanted
        if not bool(active.any()):
            break
        chain = _Chain(total[active, 0], priors, config, generator)
        if start is not None:
            chain.state = start()[active].to(mix)
        for step, sigma in enumerate(sigmas):
            change, accepted = chain.level(sigma)
            taken = {} if propose is None else {"taken": chain.propose(propose(sigma).of(active), sigma)}
            residual = rms(residual_of(chain.total, chain.state))
            trace.add(step, sigma, restart, residual=residual, accepted=accepted, change=change, **taken)
            if callback is not None:
                total_steps = config.max_chains * len(sigmas)
                callback(State(restart * len(sigmas) + step, total_steps, sigma, chain.state.clone()))
        if refine is not None:
            chain.state = refine(chain.state)
        for _ in range(config.polish):
            chain.polish(sigmas[-1])
        results[active, restart] = chain.state
        residuals[active, restart] = rms(residual_of(chain.total, chain.state))
        doubts[active, restart] = chain.doubt()
    return keep_best(total, results, residuals, trace, doubts=doubts)


class _Chain:
    """One chain for each of B mixes: the sum `total` (B, 1, T) and the sources `state` (B, K, T).

    Every chain has a random order of its own in which it visits the sources, and its own pairs to swap, so that the
    chains of a batch are independent.
    """

    def __init__(self, total: Tensor, priors: Priors, config: GibbsConfig, generator: torch.Generator) -> None:
        self.total, self.priors, self.config, self.generator = total, priors, config, generator
        self.state = total.new_zeros(len(total), len(priors), total.shape[2])
        self.gains = total.new_ones(len(total), len(priors), 1)
        self.rows = torch.arange(len(total), device=total.device)

    def level(self, sigma: float) -> tuple[Tensor, Tensor]:
        """Sweeps and swaps at one noise level; the last sweep's move and the share of swaps accepted, (B,) each."""
        config = self.config
        for _ in range(config.sweeps):
            before = self.state.clone()
            for which in self._orders().unbind(dim=1):
                self.state[self.rows, which] = self._draw(self.state, which, sigma)
            if config.estimate_gains:
                self._fit_gains()
        change = rms((self.state - before).flatten(1))
        accepted = torch.zeros_like(change)
        swaps = config.swaps if len(self.priors) > 1 and config.swap != "none" else 0
        for _ in range(swaps):
            accepted += self._swap(sigma) / swaps
        return change, accepted

    def propose(self, proposal: Proposal, sigma: float) -> Tensor:
        """A draw of every source in turn, in place of what it is; the share that was accepted, (B,)."""
        drawn = proposal.rsample(self.generator).to(self.state)
        ratio = (proposal.log_prob(self.state) - proposal.log_prob(drawn)).double().sum(dim=2)
        taken = self.state.new_zeros(len(self.state))
        orders = self._orders()
        for which in orders.unbind(dim=1):
            other = self.state.clone()
            other[self.rows, which] = drawn[self.rows, which]
            fits = self._fits(other, which[:, None], sigma) - self._fits(self.state, which[:, None], sigma)
            taken += self._accept(other, fits + ratio[self.rows, which]) / orders.shape[1]
        return taken

    def polish(self, sigma: float) -> None:
        """Every source becomes the posterior mean given the others."""
        for k in range(len(self.priors)):
            gain = self.gains[:, k]
            left = self._left(self.state, torch.full_like(self.rows, k)) / gain
            self.state[:, k] = gain * denoise_each([self.priors[k]], left[:, None], sigma)[:, 0]

    def doubt(self) -> Tensor:
        """The residual of the estimates after noising and denoising (see `GibbsConfig`), (B,)."""
        return doubt_of(self.priors, self.total, self.state, self.config.judge_sigma, self.generator, self.gains)

    def _orders(self) -> Tensor:
        """A random order of the sources for every chain, (B, K)."""
        shape = len(self.total), len(self.priors)
        return torch.rand(shape, generator=self.generator, device=self.generator.device).argsort(dim=1)

    def _left(self, state: Tensor, which: Tensor) -> Tensor:
        """What the other sources leave of the sum for source `which[b]` of chain b, (B,): (B, T)."""
        return self.total[:, 0] - state.sum(dim=1) + state[self.rows, which]

    def _draw(self, state: Tensor, which: Tensor, sigma: float) -> Tensor:
        """Draws of source `which[b]` of chain b, (B, T); a gain scales it and not the noise level, the sum's."""
        gain, steps = self.gains[self.rows, which], self.config.draw_steps
        x = (self._left(state, which) / gain)[:, None]
        return gain * posterior_rows(self.priors, which, x, sigma, steps=steps, generator=self.generator)[:, 0]

    def _fit_gains(self) -> None:
        """Scale all sources by least squares; a gain stays within 0.05 and 20, and a tiny ridge keeps it unique."""
        unit = self.state / self.gains
        gram = unit @ unit.mT
        ridge = 1e-3 * gram.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] + 1e-6
        eye = torch.eye(gram.shape[1], device=gram.device, dtype=gram.dtype)
        fitted = torch.linalg.solve(gram + ridge * eye, unit @ self.total.mT + ridge * self.gains)
        self.gains = fitted.clamp(0.05, 20.0)
        self.state = unit * self.gains

    def _swap(self, sigma: float) -> Tensor:
        """One proposal for every chain; 1 where it was accepted, (B,)."""
        pair = self._orders()[:, :2]
        proposal = self.state.clone()
        proposal[self.rows[:, None], pair] = self.state[self.rows[:, None], pair.flip(1)]
        if self.config.swap == "metropolis":
            log_ratio = self._log_prob(proposal, pair, sigma) - self._log_prob(self.state, pair, sigma)
        else:
            for which in pair.unbind(dim=1):
                proposal[self.rows, which] = self._draw(proposal, which, sigma)
            log_ratio = (self._misfit(self.state) - self._misfit(proposal)) / (2 * sigma**2)
        return self._accept(proposal, log_ratio)

    def _accept(self, proposal: Tensor, log_ratio: Tensor) -> Tensor:
        """The proposal becomes the state with the probability exp(log_ratio) (B,); 1 where it did, (B,)."""
        uniform = torch.rand(len(self.state), generator=self.generator, device=self.generator.device)
        accept = uniform.log() < log_ratio
        self.state = torch.where(accept[:, None, None], proposal, self.state)
        return accept.to(self.state.dtype)

    def _fits(self, state: Tensor, which: Tensor, sigma: float) -> Tensor:
        """The log-density in nats of the sources `which` (B, N), and of the sum given all, but for a constant: (B,)."""
        return self._log_prob(state, which, sigma) - self._misfit(state) / (2 * sigma**2)

    def _misfit(self, state: Tensor) -> Tensor:
        return (self.total[:, 0] - state.sum(dim=1)).square().sum(dim=1)

    def _log_prob(self, state: Tensor, which: Tensor, sigma: float) -> Tensor:
        """The summed log-density in nats of the sources `which` (B, N) of every chain, (B,)."""
        held = state[self.rows[:, None], which].reshape(-1, 1, state.shape[2])
        return log_prob_rows(self.priors, which.flatten(), held, sigma).view(which.shape).sum(dim=1)
