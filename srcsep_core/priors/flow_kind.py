"""What all flow priors share as a kind of prior: their sets, their objectives, and how they are trained and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from srcsep_core.priors.flow import Flow, FlowPrior, FlowTerms
from srcsep_core.priors.kinds import Kind, Task, restored
from srcsep_core.priors.sets import Trained


@dataclass(frozen=True)
class FlowSet(Trained):
    """Trained flows, in one grouped network."""

    flow: Flow

    @property
    def multiple_of(self) -> int:
        """What the length of a signal must be a multiple of."""
        return self.flow.multiple_of

    def at(self, sigma: float) -> FlowSet:
        """The same priors at another level, for a noise-conditional network."""
        return replace(self, sigma=sigma)

    @torch.no_grad()
    def likelihoods(self, x: Tensor) -> dict[str, Tensor]:
        """`log_pz`, and `log_prob` = log p_Z + log |det|."""
        terms = self.flow.source_terms(x.to(next(self.flow.parameters()).device), self.sigma)
        log_pz = terms.log_pz.double().mean(dim=2)
        return {"log_pz": log_pz, "log_prob": log_pz + terms.log_det.double().mean(dim=2)}

    def prior(self, source: str) -> FlowPrior:
        """One source's prior, cut out of the grouped network."""
        return FlowPrior(self.flow.extract(self.index(source)), self.sigma)


def log_det_weight(objective: str) -> float:
    """Weight of the log-determinant: 1 is the likelihood; the authors' code divides it by four sources."""
    return 1.0 if objective == "likelihood" else 0.25


def objective_by_source(terms: FlowTerms, objective: str) -> Tensor:
    """The loss of every source in nats/sample, (G,): minus the mean of log p_Z + weight * log |det|."""
    return -(terms.log_pz + log_det_weight(objective) * terms.log_det).mean(dim=(0, 2))


def flow_task(build: Callable[[], Flow], objective: str, multiple_of: int) -> Task:
    """Train flows for their `likelihood`, or with a quarter of the log-determinant as the authors' code does.

    A noise-conditional flow is given clean signals and noises each example itself, at a level drawn log-uniformly
    from its range.
    """

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        flow = cast(Flow, network)
        sigma = None
        if flow.levels is not None:
            sigma = flow.levels.draw(len(x), generator).to(x)
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x = x + sigma[:, None, None] * noise
        terms = flow.source_terms(x, sigma)
        loss = objective_by_source(terms, objective)
        with torch.no_grad():
            parts = [terms.log_pz.mean(dim=(0, 2)), terms.log_det.mean(dim=(0, 2))]
        return torch.stack([loss, *parts])

    return Task(f"flow {objective}", build, losses, ("log_pz", "log_det"), multiple_of)


def flow_kind(name: str, step: str, config: type, build: Callable[[Any, int], Flow]) -> Kind:
    """The kind of all flows that `build(config, groups)` makes; the configuration has a `squeeze_factor`."""

    def task(size: Any, groups: int, objective: str) -> Task:
        return flow_task(lambda: build(size, groups), objective, size.squeeze_factor)

    def load(size: Any, weights: Mapping[str, Tensor], about: Trained, device: torch.device) -> FlowSet:
        return FlowSet(**vars(about), flow=restored(build(size, len(about.sources)), weights, device))

    return Kind(
        name,
        step,
        step,
        config,
        task,
        load,
        ("likelihood", "quarter_log_det"),
        density=True,
        ladder=True,
        batch_samples=16_384,  # the activations of a layer should stay in the processor's cache
    )


def family_kind(name: str, config: type, build: Callable[[Any, int], Flow]) -> Kind:
    """The kind of flows that stand beside the paper's: trained for the likelihood, noise-free, and not sampled with."""
    kind = flow_kind(name, name, config, build)
    return replace(kind, objectives=kind.objectives[:1], scored=False, ladder=False)
