"""The steps of a profile by name: which priors there are, and what is asked of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from srcsep_core.config import check_choice
from srcsep_core.data.base import World, trained_for, world_of
from srcsep_core.data.pooled import PooledWorld
from srcsep_core.diagnostics.inputs import CONSTANT_LEVELS, PRINTED_CONSTANTS
from srcsep_core.errors import InputError
from srcsep_core.priors.kinds import has_oracle, kind_of
from srcsep_core.run.plans import KindPlan
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
from srcsep_core.run.steps.training import FAMILY, ORACLE, TrainPriors
from srcsep_core.training.config import own_noise

ORACLE_BEYOND = (1.0, 3.0, 10.0)


def prior_step(
    profile: Profile,
    model: str,
    *,
    objective: str = "likelihood",
    variant: str = "",
    sigma: float = 0.0,
    noise: str | None = None,
    scratch: bool = False,
    **training: Any,
) -> TrainPriors:
    """The step that trains the priors of a profile of one kind; `training` replaces fields of its TrainConfig.

    With a noise level `sigma` they are fine-tuned from the noise-free weights, or trained from `scratch`. Without
    `noise` it is the objective's own (`own_noise`). Raises `InputError` for an objective that the kind does not have.
    """
    plan, kind, world = profile.of(variant).plan_of(model), kind_of(model), trained_for(variant)
    check_choice("objective", objective, kind.objectives)
    network = kind.adapt(plan.network, objective)
    clean = replace(plan.train, objective=objective, **training)
    first = TrainPriors(model, profile.name, world, clean, network)
    if plan.teachers:
        first = taught_by(first, profile, plan.teachers[0], variant)
    if not sigma:
        return first
    facts: dict[str, Any] = {"objective": objective, "noise_sigma": sigma, "noise": noise or own_noise(objective)}
    if scratch:
        return replace(first, train=replace(_given(plan.scratch, model, "from scratch"), **facts))
    return replace(first, train=replace(_given(plan.fine_tune, model, "by fine-tuning"), **facts), initial=first)


def taught_by(step: TrainPriors, profile: Profile, teacher: str, variant: str = "") -> TrainPriors:
    """The step that trains a kind which learns from priors, with those of the kind `teacher`, or the oracle's."""
    return replace(step, teacher=None if teacher == ORACLE else prior_step(profile, teacher, variant=variant))


def _conditional_steps(label: str, model: str, plan: KindPlan, world: World) -> list[TrainPriors]:
    if plan.conditional is None:
        return []
    return [TrainPriors(model, label, world, plan.conditional, network) for network in plan.conditional_networks]


def priors_of(profile: Profile, variant: str = "") -> list[TrainPriors]:
    """Every set of priors: those of the paper's tables, those that only samplers use, backgrounds, and families."""
    models = [model for model, plan in profile.of(variant).kinds.items() if plan.background]
    steps = [
        *likelihood_priors_of(profile, variant),
        *sampling_priors_of(profile, variant),
        *(background_step(profile, model, variant) for model in models),
    ]
    return [*steps, *(step for step in family_priors_of(profile, variant) if step not in steps)]


def family_priors_of(profile: Profile, variant: str = "") -> list[TrainPriors]:
    """The noise-free sets of the kinds that are compared with each other (`Profile.families`)."""
    profile, steps = profile.of(variant), []
    for model, plan in profile.families.items():
        usual = profile.kinds.get(model, plan)
        same = (usual.network, usual.train) == (plan.network, plan.train)
        label = profile.name + ("" if same else FAMILY)
        steps.append(TrainPriors(model, label, trained_for(variant), plan.train, plan.network))
    return steps


def background_step(profile: Profile, model: str, variant: str = "") -> TrainPriors:
    """The step that trains one noise-free prior of a kind on all sources as one (`PooledWorld`)."""
    step = prior_step(profile, model, variant=variant)
    return replace(step, data=PooledWorld(step.data))


def sampling_priors_of(profile: Profile, variant: str = "") -> list[TrainPriors]:
    """The sets that only samplers use: kinds without a density, and flows of all but the narrowest range of levels."""
    kinds = profile.of(variant).kinds
    steps = [prior_step(profile, model, variant=variant) for model in kinds if not kind_of(model).density]
    steps = [
        own
        for step in steps
        for own in [taught_by(step, profile, name, variant) for name in kinds[step.model].teachers] or [step]
    ]
    for model, plan in kinds.items():
        steps += _conditional_steps(profile.name, model, plan, trained_for(variant))[1:]
    return steps


def likelihood_priors_of(profile: Profile, variant: str = "") -> list[TrainPriors]:
    """Every set of priors whose likelihood the notebooks of a profile evaluate, noise-free ones first.

    Of every kind with a density: every objective, noise-free and, where the profile fine-tunes it, at every noise
    level; then, where the profile has them, from scratch at every level, conditioned on the level, and the mixed cases
    of objective and noise.
    """
    plans = {model: plan for model, plan in profile.of(variant).kinds.items() if kind_of(model).density}
    objectives = _objectives(plans)
    cases = [(model, objective) for objective in objectives for model in plans if _has(model, objective)]
    steps = [prior_step(profile, model, objective=objective, variant=variant) for model, objective in cases]
    for objective in objectives:
        for sigma in profile.noise_levels:
            steps += [
                prior_step(profile, model, objective=objective, sigma=sigma, variant=variant)
                for model, own in cases
                if own == objective and plans[model].fine_tune is not None
            ]
    for model, plan in plans.items():
        if plan.scratch is not None:
            steps += [
                prior_step(profile, model, sigma=sigma, scratch=True, variant=variant) for sigma in profile.noise_levels
            ]
        steps += _conditional_steps(profile.name, model, plan, trained_for(variant))[:1]
        for sigma in sorted(set(plan.ablated) & set(profile.noise_levels)):
            for objective, noise in (("likelihood", "scaled_clamped"), ("quarter_log_det", "gaussian")):
                steps.append(prior_step(profile, model, objective=objective, sigma=sigma, noise=noise, variant=variant))
    return steps


def _objectives(plans: dict[str, KindPlan]) -> list[str]:
    return list(dict.fromkeys(objective for model in plans for objective in kind_of(model).objectives))


def _has(model: str, objective: str) -> bool:
    return objective in kind_of(model).objectives


def subjects_of(profile: Profile, variant: str = "") -> list[Subject]:
    """Everything that is evaluated: every set of priors at its level, the conditional one and the oracle at all."""
    data = world_of(variant)
    subjects = []
    for step in likelihood_priors_of(profile, variant):
        levels = profile.noise_levels if step.conditional else (step.train.noise_sigma,)
        subjects += [Subject(step, data, sigma) for sigma in levels]
    oracle = (*profile.noise_levels, *ORACLE_BEYOND) if has_oracle(data) else ()
    return subjects + [Subject(None, data, sigma) for sigma in oracle]


def evaluations_of(profile: Profile, subject: Subject) -> list[Evaluation]:
    """What is measured of a subject.

    The sets of the paper (noise-free, or fine-tuned with the objective's own noise) and the oracle are measured in
    full at the authors' lengths: clean test signals, as in their evaluation, and signals noised at the priors' own
    level; noise-free ones and those of the widest level at the long length too, where the true density is known (of
    constants the printed ones); and at the amplitude of training, where that is another one. The other sets, and the
    oracle beyond the profile's noise levels, get signals at their own level alone. Of a world that is all for testing
    there are as many signals as noisy ones.
    """
    plan, data = profile.plan, subject.data
    own = plan.oracle if subject.trained is None else plan.noisy
    if not subject.sigma:
        config = plan.noisy if subject.elsewhere else profile.evaluation
        steps: list[Evaluation] = [CrossLikelihood(subject, config)]
        if data.for_evaluation("training") != data.for_evaluation("evaluation"):
            steps.append(CrossLikelihood(subject, replace(plan.noisy, amplitude="training")))
    elif subject.sigma in profile.noise_levels:
        noised = replace(own, data_sigma=subject.sigma)
        steps = [CrossLikelihood(subject, config) for config in ((own, noised) if subject.in_full else (noised,))]
    else:
        return [CrossLikelihood(subject, replace(own, data_sigma=subject.sigma))]
    if subject.in_full:
        constants = (CONSTANT_LEVELS, PRINTED_CONSTANTS)
        sizes = list(zip((plan.curve, plan.long_curve), plan.input_lengths, constants, plan.draws, strict=True))
        if has_oracle(data) and subject.sigma in (0.0, max(profile.noise_levels, default=0.0)):
            steps.append(CrossLikelihood(subject, plan.long))
        else:
            sizes.pop()
        for curve, length, levels, draws in sizes:
            steps.append(NoiseCurve(subject, curve))
            if not subject.elsewhere:  # inputs are of no data: once is enough
                steps += [ConstantInput(subject, length, levels), RandomInput(subject, length, draws)]
    return steps


def family_evaluations_of(profile: Profile, variant: str = "") -> list[Evaluation]:
    """What is measured of the sets of `family_priors_of`, set by set, all at the authors' lengths."""
    plan, steps = profile.plan, list[Evaluation]()
    for prior in family_priors_of(profile, variant):
        subject = Subject(prior, world_of(variant), 0.0)
        steps += [
            CrossLikelihood(subject, profile.evaluation),
            NoiseCurve(subject, plan.curve),
            ConstantInput(subject, plan.input_lengths[0], CONSTANT_LEVELS),
            RandomInput(subject, plan.input_lengths[0], plan.draws[1]),
        ]
    return steps


def cross_likelihood_step(profile: Profile, prior: TrainPriors) -> CrossLikelihood:
    """The step that evaluates noise-free priors on the profile's clean test set."""
    return CrossLikelihood(Subject(prior, prior.data, prior.train.noise_sigma), profile.evaluation)


def steps_of(profile: Profile, variant: str = "") -> list[Step]:
    """Every step that the notebooks of a profile ask for, parents first."""
    steps: list[Step] = [*priors_of(profile, variant)]
    for subject in subjects_of(profile, variant):
        steps += evaluations_of(profile, subject)
    return steps + [step for step in family_evaluations_of(profile, variant) if step not in steps]


def _given(train: Any, model: str, how: str) -> Any:
    if train is None:
        raise InputError(f"the profile trains no {model} {how}; add it to the profile's plan")
    return train
