"""The steps from data to numbers: `base` has the contract, `catalogue` names those of a profile."""

from srcsep_core.run.steps.base import CONFIG, CURVE, VALUES, WEIGHTS, Context, Step
from srcsep_core.run.steps.catalogue import (
    background_step,
    cross_likelihood_step,
    evaluations_of,
    family_evaluations_of,
    family_priors_of,
    prior_step,
    priors_of,
    steps_of,
    subjects_of,
)
from srcsep_core.run.steps.evaluation import (
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    Subject,
)
from srcsep_core.run.steps.training import TrainPriors, load_priors

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
    "TrainPriors",
    "background_step",
    "cross_likelihood_step",
    "evaluations_of",
    "family_evaluations_of",
    "family_priors_of",
    "load_priors",
    "prior_step",
    "priors_of",
    "steps_of",
    "subjects_of",
]
