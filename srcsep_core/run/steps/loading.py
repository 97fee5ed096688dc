"""Trained priors from the artefacts of the steps that trained them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file

from srcsep_core.errors import InputError
from srcsep_core.priors.denoiser import Denoiser
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.pnf import PnFPriors
from srcsep_core.priors.sets import FlowPriors, PnFSet, ScoreSet, WaveNetSet
from srcsep_core.priors.wavenet import WaveNetPriors
from srcsep_core.run.steps.base import CURVE, WEIGHTS
from srcsep_core.run.steps.training import TrainFlow, TrainPnF, TrainPriors, TrainScore, TrainWaveNet
from srcsep_core.run.store import Artefact


def load_priors(
    step: TrainPriors, artefact: Artefact, device: torch.device
) -> FlowPriors | WaveNetSet | ScoreSet | PnFSet:
    """The priors that `step` trained, in evaluation mode on `device`."""
    weights = load_file(artefact / WEIGHTS)
    sources, groups = step.data.sources, len(step.data.sources)
    about: dict[str, Any] = {
        "sources": sources,
        "data": step.data,
        "sigma": step.train.noise_sigma,
        "artefact": artefact,
        "curve": pd.read_csv(artefact / CURVE),
    }
    if isinstance(step, TrainFlow):
        flow = flowavenet(step.flow, groups)
        flow.load_state_dict(weights)
        return FlowPriors(flow=flow.to(device).eval(), **about)
    if isinstance(step, TrainWaveNet):
        net = WaveNetPriors(step.wavenet, groups)
        net.load_state_dict(weights)
        return WaveNetSet(net=net.to(device).eval(), **about)
    if isinstance(step, TrainScore):
        denoiser = Denoiser(step.denoiser)
        denoiser.load_state_dict(weights)
        return ScoreSet(denoiser=denoiser.to(device).eval(), **about)
    if isinstance(step, TrainPnF):
        pnf = PnFPriors(step.pnf, groups)
        pnf.load_state_dict(weights)
        return PnFSet(net=pnf.to(device).eval(), **about)
    raise InputError(f"the step {step.title} trains no priors that can be loaded")
