"""The steps from data to numbers: `base` has the contract, `catalogue` names those of a profile."""

from srcsep_core.run.steps.base import CONFIG, CURVE, VALUES, WEIGHTS, Context, Step
from srcsep_core.run.steps.catalogue import (
    conditional_flow_step,
    cross_likelihood_step,
    evaluations_of,
    flow_step,
    noisy_flow_step,
    noisy_wavenet_step,
    pnf_step,
    priors_of,
    score_step,
    steps_of,
    subjects_of,
    wavenet_step,
)
from srcsep_core.run.steps.evaluation import (
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    Subject,
)
from srcsep_core.run.steps.loading import load_priors
from srcsep_core.run.steps.training import TrainFlow, TrainPnF, TrainPriors, TrainScore, TrainWaveNet

__all__ = [
    "CONFIG",
    "CURVE",
    "VALUES",
    "WEIGHTS",
    "ConstantInput",
    "Context",
    "CrossLikelihood",
    "Evaluation",
    "NoiseCurve",
    "RandomInput",
    "Step",
    "Subject",
    "TrainFlow",
    "TrainPnF",
    "TrainPriors",
    "TrainScore",
    "TrainWaveNet",
    "conditional_flow_step",
    "cross_likelihood_step",
    "evaluations_of",
    "flow_step",
    "load_priors",
    "noisy_flow_step",
    "noisy_wavenet_step",
    "pnf_step",
    "priors_of",
    "score_step",
    "steps_of",
    "subjects_of",
    "wavenet_step",
]
