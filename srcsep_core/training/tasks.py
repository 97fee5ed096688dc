"""What each prior is trained to do: the tasks that `train` runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from srcsep_core.config import DenoiserConfig, Objective, PnFConfig, WaveNetPriorConfig
from srcsep_core.nn.levels import draw_levels
from srcsep_core.priors.denoiser import Denoiser
from srcsep_core.priors.flow import Flow, FlowTerms
from srcsep_core.priors.flowavenet import ConditionalFlowConfig, FlowConfig, flowavenet
from srcsep_core.priors.pnf import PnFPriors
from srcsep_core.priors.wavenet import WaveNetPriors, exact_loss, released_loss
from srcsep_core.training.loop import Task

Losses = Callable[[nn.Module, Tensor, torch.Generator], Tensor]


def log_det_weight(objective: Objective) -> float:
    """Weight of the log-determinant: 1 is the likelihood; the authors' code divides it by four sources."""
    return 1.0 if objective == "exact" else 0.25


def objective_by_source(terms: FlowTerms, objective: Objective) -> Tensor:
    """The loss of every source in nats/sample, (G,): minus the mean of log p_Z + weight * log |det|."""
    return -(terms.log_pz + log_det_weight(objective) * terms.log_det).mean(dim=(0, 2))


def flow_task(config: FlowConfig, groups: int, objective: Objective) -> Task:
    """Train flows by maximum likelihood (`exact`) or as the authors' code does (`released`).

    A noise-conditional flow is given clean signals and noises each example itself, at a level drawn log-uniformly
    from its range.
    """

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        flow = cast(Flow, network)
        sigma = None
        if isinstance(config, ConditionalFlowConfig):
            sigma = draw_levels(len(x), config.sigma_min, config.sigma_max, generator).to(x)
            noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
            x = x + sigma[:, None, None] * noise
        terms = flow.source_terms(x, sigma)
        loss = objective_by_source(terms, objective)
        with torch.no_grad():
            parts = [terms.log_pz.mean(dim=(0, 2)), terms.log_det.mean(dim=(0, 2))]
        return torch.stack([loss, *parts])

    name = f"flow {objective}"
    return Task(name, lambda: flowavenet(config, groups), losses, ("log_pz", "log_det"), config.squeeze_factor)


def wavenet_task(config: WaveNetPriorConfig, groups: int) -> Task:
    """Train WaveNets by maximum likelihood, or with the authors' sigmoid loss where the network is the released one."""
    loss = exact_loss if config.likelihood == "exact" else released_loss

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return loss(cast(WaveNetPriors, network), x)[None]

    return Task(f"wavenet {config.likelihood}", lambda: WaveNetPriors(config, groups), losses)


def score_task(config: DenoiserConfig) -> Task:
    """Train one denoiser for all sources by denoising score matching at noise levels drawn afresh for every signal."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return cast(Denoiser, network).loss(x, generator)[None]

    return Task("score", lambda: Denoiser(config), losses, multiple_of=config.stride, unit="")


def pnf_task(config: PnFConfig, groups: int) -> Task:
    """Train PnF networks to tell the clean class from a noisy past, at noise levels drawn afresh for every example."""

    def losses(network: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        return cast(PnFPriors, network).loss(x, generator)[None]

    return Task("pnf", lambda: PnFPriors(config, groups), losses)
