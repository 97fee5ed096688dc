"""The steps from data to numbers: `base` has the contract, `catalogue` names those of a profile."""

from srcsep_core.steps.base import CONFIG, CURVE, VALUES, WEIGHTS, Context, Step
from srcsep_core.steps.catalogue import (
    conditional_flow_step,
    cross_likelihood_step,
    evaluations_of,
    flow_step,
    noisy_flow_step,
    noisy_wavenet_step,
    priors_of,
    steps_of,
    subjects_of,
    wavenet_step,
)
from srcsep_core.steps.evaluation import (
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    Subject,
    load_priors,
)
from srcsep_core.steps.training import TrainFlow, TrainPriors, TrainWaveNet

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
    "TrainPriors",
    "TrainWaveNet",
    "conditional_flow_step",
    "cross_likelihood_step",
    "evaluations_of",
    "flow_step",
    "load_priors",
    "noisy_flow_step",
    "noisy_wavenet_step",
    "priors_of",
    "steps_of",
    "subjects_of",
    "wavenet_step",
]
