"""The steps of a profile by name: which priors there are, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from srcsep_core.config import OBJECTIVES, Noise, Objective, resolved
from srcsep_core.data.toy import ToyConfig
from srcsep_core.priors.flowavenet import ConditionalFlowConfig
from srcsep_core.run.profiles import Profile
from srcsep_core.run.steps.base import Step
from srcsep_core.run.steps.evaluation import (
    ConstantInput,
    CrossLikelihood,
    Evaluation,
    NoiseCurve,
    RandomInput,
    Subject,
)
from srcsep_core.run.steps.training import TrainFlow, TrainPnF, TrainPriors, TrainScore, TrainWaveNet

ABLATED_LEVELS = {0.359}
ORACLE_BEYOND = (1.0, 3.0, 10.0)
WIDE = 10.0


def flow_step(
    profile: Profile, *, objective: Objective = "exact", variant: str = "released", **training: Any
) -> TrainFlow:
    """The step that trains the toy flow priors of a profile; `training` replaces fields of its TrainConfig."""
    train = profile.training(objective=objective, **training)
    return TrainFlow(profile.name, ToyConfig(variant), train, profile.flow)


def noisy_flow_step(
    profile: Profile,
    sigma: float,
    *,
    objective: Objective = "exact",
    variant: str = "released",
    noise: Noise | None = None,
    scratch: bool = False,
) -> TrainFlow:
    """The step that trains the flow priors at noise level `sigma`, from the noise-free weights or from `scratch`.

    Without `noise` it is the objective's own: Gaussian at just that level for `exact` (what the thesis says), and
    scaled by U(0, 1) and clamped for `released` (what the authors' code does).
    """
    kind: Noise = noise or own_noise(objective)
    if scratch:
        train = replace(profile.scratch, objective=objective, noise_sigma=sigma, noise=kind)
        return TrainFlow(profile.name, ToyConfig(variant), train, profile.flow)
    clean = flow_step(profile, objective=objective, variant=variant)
    train = profile.fine_tuning(objective=objective, noise_sigma=sigma, noise=kind)
    return TrainFlow(profile.name, ToyConfig(variant), train, profile.flow, initial=clean)


def conditional_flow_step(
    profile: Profile, *, variant: str = "released", sigma_max: float = ConditionalFlowConfig().sigma_max
) -> TrainFlow:
    """The step that trains one flow per source over a continuous range of noise levels, from scratch."""
    flow = ConditionalFlowConfig(**resolved(profile.flow), sigma_max=sigma_max)
    return TrainFlow(profile.name, ToyConfig(variant), profile.conditional, flow)


def wavenet_step(profile: Profile, *, objective: Objective = "exact", variant: str = "released") -> TrainWaveNet:
    """The step that trains the toy WaveNet priors of a profile without noise, exact or as released."""
    train = replace(profile.wavenet_train, objective=objective)
    return TrainWaveNet(profile.name, ToyConfig(variant), train, replace(profile.wavenet, likelihood=objective))


def noisy_wavenet_step(
    profile: Profile, sigma: float, *, objective: Objective = "exact", variant: str = "released"
) -> TrainWaveNet:
    """The step that fine-tunes the WaveNet priors at noise level `sigma`, with the objective's own noise."""
    clean = wavenet_step(profile, objective=objective, variant=variant)
    train = replace(profile.wavenet_fine_tune, objective=objective, noise_sigma=sigma, noise=own_noise(objective))
    return TrainWaveNet(profile.name, ToyConfig(variant), train, clean.wavenet, initial=clean)


def score_step(profile: Profile, *, variant: str = "released") -> TrainScore:
    """The step that trains the score prior of a profile."""
    return TrainScore(profile.name, ToyConfig(variant), profile.score_train, profile.denoiser)


def pnf_step(profile: Profile, *, variant: str = "released") -> TrainPnF:
    """The step that trains the PnF priors of a profile."""
    return TrainPnF(profile.name, ToyConfig(variant), profile.pnf_train, profile.pnf)


def priors_of(profile: Profile, variant: str = "released") -> list[TrainPriors]:
    """Every set of priors: those whose likelihood is evaluated, then those that only samplers use."""
    return [*likelihood_priors_of(profile, variant), *sampling_priors_of(profile, variant)]


def sampling_priors_of(profile: Profile, variant: str = "released") -> list[TrainPriors]:
    """The sets that only samplers use: the score prior, the PnF prior, and the flow conditioned on sigma up to 10."""
    return [
        score_step(profile, variant=variant),
        pnf_step(profile, variant=variant),
        conditional_flow_step(profile, variant=variant, sigma_max=WIDE),
    ]


def likelihood_priors_of(profile: Profile, variant: str = "released") -> list[TrainPriors]:
    """Every set of priors whose likelihood the notebooks of a profile evaluate, noise-free ones first.

    Both objectives of the flow and both likelihoods of the WaveNet, noise-free and fine-tuned at every noise level;
    the exact flow from scratch at every level, the one conditioned on the level, and at `ABLATED_LEVELS` the two
    mixed cases of objective and noise.
    """
    steps: list[TrainPriors] = []
    for objective in OBJECTIVES:
        steps += [flow_step(profile, objective=objective, variant=variant)]
        steps += [wavenet_step(profile, objective=objective, variant=variant)]
    for objective in OBJECTIVES:
        for sigma in profile.noise_levels:
            steps += [noisy_flow_step(profile, sigma, objective=objective, variant=variant)]
            steps += [noisy_wavenet_step(profile, sigma, objective=objective, variant=variant)]
    for sigma in profile.noise_levels:
        steps += [noisy_flow_step(profile, sigma, scratch=True, variant=variant)]
    steps += [conditional_flow_step(profile, variant=variant)]
    for sigma in sorted(ABLATED_LEVELS & set(profile.noise_levels)):
        steps += [noisy_flow_step(profile, sigma, objective="exact", noise="released", variant=variant)]
        steps += [noisy_flow_step(profile, sigma, objective="released", noise="thesis", variant=variant)]
    return steps


def subjects_of(profile: Profile, variant: str = "released") -> list[Subject]:
    """Everything that is evaluated: every set of priors at its level, the conditional one and the oracle at all."""
    data = ToyConfig(variant)
    subjects = []
    for step in likelihood_priors_of(profile, variant):
        levels = profile.noise_levels if step.conditional else (step.train.noise_sigma,)
        subjects += [Subject(step, data, sigma) for sigma in levels]
    return subjects + [Subject(None, data, sigma) for sigma in (*profile.noise_levels, *ORACLE_BEYOND)]


def evaluations_of(profile: Profile, subject: Subject) -> list[Evaluation]:
    """What is measured of a subject.

    The sets of the paper (noise-free, or fine-tuned with the objective's own noise) and the oracle are measured in
    full, at the released lengths and at the long one: clean test signals, as in the released evaluation, and signals
    noised at the priors' own level. The other sets, and the oracle beyond the profile's noise levels, get the latter
    alone.
    """
    plan = profile.plan
    own = plan.oracle if subject.trained is None else plan.noisy
    if not subject.sigma:
        amplitude = replace(plan.noisy, amplitude="training")
        steps: list[Evaluation] = [CrossLikelihood(subject, config) for config in (profile.evaluation, amplitude)]
    elif subject.sigma in profile.noise_levels:
        noised = replace(own, data_sigma=subject.sigma)
        steps = [CrossLikelihood(subject, config) for config in ((own, noised) if subject.in_full else (noised,))]
    else:
        return [CrossLikelihood(subject, replace(own, data_sigma=subject.sigma))]
    if subject.in_full:
        steps += [CrossLikelihood(subject, plan.long)]
        steps += [NoiseCurve(subject, config) for config in (plan.curve, plan.long_curve)]
        steps += [ConstantInput(subject, length) for length in plan.input_lengths]
        sizes = zip(plan.input_lengths, plan.draws, strict=True)
        steps += [RandomInput(subject, length, draws) for length, draws in sizes]
    return steps


def cross_likelihood_step(profile: Profile, prior: TrainPriors) -> CrossLikelihood:
    """The step that evaluates noise-free priors on the profile's clean test set."""
    return CrossLikelihood(Subject(prior, prior.data, prior.train.noise_sigma), profile.evaluation)


def steps_of(profile: Profile, variant: str = "released") -> list[Step]:
    """Every step that the notebooks of a profile ask for, parents first."""
    steps: list[Step] = [*priors_of(profile, variant)]
    for subject in subjects_of(profile, variant):
        steps += evaluations_of(profile, subject)
    return steps


def own_noise(objective: Objective) -> Noise:
    """The noise of an objective: what the thesis says for the exact one, what was released for the other."""
    return "thesis" if objective == "exact" else "released"
