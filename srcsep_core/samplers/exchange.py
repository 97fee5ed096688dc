"""Exchange of single samples between two sources that jump at the same place.

Where the jumps of two waves fall between the same two samples, either wave may have jumped a sample too early, and the
other one hides it: the sum stays. No chain at a small noise level can undo that, because the sample would have to move
by the whole jump. So such exchanges are proposed one by one, and judged by how well the changed waves survive
noising and denoising, with the same noise before and after (the denoising loss bounds the log-density from below up to
a constant: Ho et al. 2020, arXiv 2006.11239, Eq. 5; used to compare hypotheses by Li et al. 2023, arXiv 2303.16203).
The move is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from srcsep_core.errors import InputError
from srcsep_core.samplers.asking import denoise_each
from srcsep_core.samplers.base import Callback, Priors, Separation, sampler
from srcsep_core.samplers.gibbs import GibbsConfig, gibbs

SCREEN_MARGIN = 0.5  # nats that a proposal may lose in the first, noisy look


@dataclass(frozen=True)
class ExchangeConfig:
    """What is proposed and how it is judged.

    A sample jumps if it moves by `jump` or more, and by `contrast` times the median step of its wave or more, when it
    takes the value, or continues the line, of its neighbours on one side; two sources exchange a jump if their moves
    cancel within `tolerance`. Of each pair of sources at most `most` proposals are judged, with `screen` noises at each
    of `sigmas` (small ones: in more noise a single sample leaves no trace); those that look no worse are judged again
    with `draws` noises, and taken if they win `margin` nats.
    """

    jump: float = 1.0
    contrast: float = 2.5
    tolerance: float = 0.4
    sigmas: tuple[float, ...] = (0.03, 0.1)
    screen: int = 1
    draws: int = 16
    margin: float = 0.5
    most: int = 64

    def __post_init__(self) -> None:
        for name in ("jump", "contrast", "tolerance", "screen", "draws", "most"):
            if not getattr(self, name) > 0:
                raise InputError(f"ExchangeConfig.{name} is {getattr(self, name)}; use a positive number")
        if not self.sigmas or min(self.sigmas) <= 0:
            raise InputError(f"ExchangeConfig.sigmas are {self.sigmas}; use one or more levels above 0")


@torch.no_grad()
def exchange(
    sources: Tensor, priors: Priors, *, config: ExchangeConfig | None = None, generator: torch.Generator
) -> Tensor:
    """Sources (B, K, T) after all exchanges that their priors prefer; their sum is unchanged."""
    config = config or ExchangeConfig()
    result = sources.clone()
    for row in range(len(sources)):
        for k in combinations(range(len(priors)), 2):
            pair, both = result[row, list(k)], [priors[k[0]], priors[k[1]]]
            places, sizes = _candidates(pair, config)
            for draws, margin in ((config.screen, -SCREEN_MARGIN), (config.draws, config.margin)):
                if len(places):
                    better = _gains(pair, places, sizes, both, config.sigmas, draws, generator) > margin
                    places, sizes = places[better], sizes[better]
            result[row, k[0], places] += sizes
            result[row, k[1], places] -= sizes
    return result


@dataclass(frozen=True)
class ExchangingGibbsConfig(GibbsConfig):
    """The Gibbs sampler whose chains exchange jumps before the last sweeps.

    The estimate that is kept does so `again` times at the end: sharper waves are easier to judge.
    """

    exchange: ExchangeConfig = ExchangeConfig()
    again: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.again < 0:
            raise InputError(f"ExchangingGibbsConfig.again is {self.again}; use 0 or more")
        if self.estimate_gains:
            raise InputError("waves of unknown gains cannot exchange samples; use the sampler gibbs for estimate_gains")


@sampler("gibbs-exchange", ExchangingGibbsConfig, windows={})
def gibbs_exchange(
    mix: Tensor,
    priors: Priors,
    *,
    config: ExchangingGibbsConfig | None = None,
    generator: torch.Generator,
    callback: Callback | None = None,
) -> Separation:
    """`gibbs` with `exchange` at the end of every chain, and of the estimate that is kept."""
    config = config or ExchangingGibbsConfig()

    def refine(sources: Tensor) -> Tensor:
        return exchange(sources, priors, config=config.exchange, generator=generator)

    found = gibbs(mix, priors, config=config, generator=generator, callback=callback, refine=refine)
    kept = found.sources
    for _ in range(config.again):
        kept = refine(kept)
    return replace(found, sources=kept)


def _candidates(pair: Tensor, config: ExchangeConfig) -> tuple[Tensor, Tensor]:
    """Where two waves (2, T) can exchange a jump, and what the first one gains there: (N,) each, the best fits first.

    At most one proposal a sample.
    """
    steps = pair.diff(dim=1).abs().median(dim=1).values
    least = (config.contrast * steps).clamp(min=config.jump)
    found = []
    for first in _moves(pair[0]):
        for second in _moves(pair[1]):
            fits = (first.abs() >= least[0]) & (second.abs() >= least[1])
            fits &= (first + second).abs() <= config.tolerance
            fits[:2] = fits[-2:] = False
            places = fits.nonzero()[:, 0]
            misfit = (first + second)[places].abs()
            found.append(torch.stack([places.to(misfit), (first - second)[places] / 2, misfit]))
    table = torch.cat(found, dim=1)
    table = table[:, table[2].argsort()]
    places = table[0].long()
    earlier = (places[:, None] == places).tril(-1).any(dim=1)
    return places[~earlier][: config.most], table[1][~earlier][: config.most]


def _moves(x: Tensor) -> list[Tensor]:
    """By how much every sample of a wave (T,) would move to its neighbour's value or line, on either side."""
    return [value - x for side in (-1, 1) for value in (x.roll(-side), 2 * x.roll(-side) - x.roll(-2 * side))]


def _gains(
    pair: Tensor,
    places: Tensor,
    sizes: Tensor,
    priors: Priors,
    sigmas: tuple[float, ...],
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """By how much each exchange lowers the denoising loss of the pair (2, T), in nats, mean over noises: (N,)."""
    changed = pair.expand(len(places), -1, -1).clone()
    rows = torch.arange(len(places), device=pair.device)
    changed[rows, 0, places] += sizes
    changed[rows, 1, places] -= sizes
    both = torch.cat([pair[None], changed])
    loss = both.new_zeros(len(both))
    for sigma in sigmas:
        for _ in range(draws):
            noise = torch.empty_like(pair).normal_(generator=generator)
            clean = denoise_each(priors, both + sigma * noise, sigma)
            loss += (clean - both).square().sum(dim=(1, 2)) / (2 * sigma**2 * draws)
    return loss[0] - loss[1:]
