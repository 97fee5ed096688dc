"""The encoder that priors teach (`posteriors.encoder`): no prior, but trained and kept as priors are.

Its loss is minus the evidence lower bound under the priors of a trained set, or the true ones, at a level that falls
while it is trained; see `posteriors.variational`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, cast

import torch
from torch import Tensor, nn

from srcsep_core.errors import InputError
from srcsep_core.posteriors.encoder import Encoder, EncoderConfig
from srcsep_core.posteriors.truncated_normal import TruncatedNormal
from srcsep_core.posteriors.variational import bound, posterior_at, sum_noise
from srcsep_core.priors.base import DenoisingPrior
from srcsep_core.priors.kinds import Kind, Task, register, restored
from srcsep_core.priors.sets import Trained

TERMS = ("likelihood", "prior", "entropy")


@dataclass(frozen=True)
class EncoderSet(Trained):
    """The encoder of all classes."""

    net: Encoder

    def prior(self, source: str) -> Any:
        """It has none; raises `InputError`."""
        raise InputError(f"an encoder has no prior of {source}; use it as a method")

    @torch.no_grad()
    def posterior(self, mix: Tensor, sources: Sequence[str]) -> TruncatedNormal:
        """The posteriors (B, K, T) of the `sources` in mixes (B, 1, T); raises `InputError` as the encoder does."""
        which = torch.tensor([[self.index(name) for name in sources]], device=mix.device).expand(len(mix), -1)
        location, log_share = self.net(mix, which)
        return posterior_at(location, log_share, self.net.config.sigma_min, self.net.config.limit)


def teach(config: EncoderConfig, priors: Sequence[DenoisingPrior], steps: int) -> Task:
    """Train an encoder of as many classes as there are priors: every batch has mixes of one number of sources."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        encoder = cast(Encoder, network)
        sigma = config.level(int(encoder.trained), steps)
        encoder.trained += 1
        which = _drawn_classes(config.counts, len(priors), len(x), generator)
        mix = x.gather(1, which[..., None].expand(-1, -1, x.shape[2])).mean(dim=1, keepdim=True)
        location, log_share = encoder(mix, which)
        posterior = posterior_at(location, log_share, sigma, config.limit)
        gamma = sum_noise(sigma, which.shape[1], config.slack)
        found = bound(mix, posterior, priors, gamma=gamma, sigma=sigma, generator=generator, which=which)
        shared = (found.likelihood / which.shape[1])[:, None].expand_as(found.prior)
        terms = [shared, found.prior, found.entropy]
        rows = torch.stack([-(shared + config.beta * (found.prior + found.entropy)), *terms])
        by_class = rows.new_zeros(len(rows), len(x), len(priors)).scatter(2, which.expand(len(rows), -1, -1), rows)
        return by_class.sum(dim=1) / mix.numel()

    return Task("encoder", lambda: Encoder(config, len(priors)), losses, terms=TERMS)


def _drawn_classes(counts: Sequence[int], classes: int, batch: int, generator: torch.Generator) -> Tensor:
    """The classes of `batch` mixes of one of these numbers of sources, in their order: (batch, K)."""
    device = generator.device
    able = [count for count in counts if count <= classes]
    count = able[int(torch.randint(len(able), (), generator=generator, device=device))]
    subsets = torch.tensor(list(combinations(range(classes), count)), device=device)
    return subsets[torch.randint(len(subsets), (batch,), generator=generator, device=device)]


def _task(config: EncoderConfig, groups: int = 0, objective: str = "") -> Task:
    """What is built; it learns from priors alone (`teach`)."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        raise InputError("an encoder is trained by priors; give the step that trains it a teacher")

    return Task("encoder", lambda: Encoder(config, groups), losses, terms=TERMS)


def _load(config: EncoderConfig, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> EncoderSet:
    return EncoderSet(**vars(about), net=restored(Encoder(config, len(about.sources)), weights, device))


ENCODER = register(
    Kind(
        name="encoder",
        step="encoder",
        section="encoder",
        config=EncoderConfig,
        task=_task,
        load=_load,
        scored=False,
        mixes=True,
        teach=teach,
    )
)
