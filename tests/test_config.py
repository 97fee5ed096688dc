"""Configurations: the paper's sizes, nothing left out of what is hashed, nothing senseless let in."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from srcsep_core.config import resolved
from srcsep_core.data.base import EvalConfig
from srcsep_core.data.toy import ToyWorld
from srcsep_core.errors import InputError
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.wavenet import WaveNetPriorConfig
from srcsep_core.run.profiles import PROFILES, Profile, get_profile
from srcsep_core.run.steps import prior_step
from srcsep_core.training.config import TrainConfig

CONFIGS = [
    FlowConfig(),
    ConditionalFlowConfig(),
    WaveNetPriorConfig(),
    TrainConfig(),
    EvalConfig(),
    get_profile("full").plan,
    ToyWorld(),
    get_profile("full"),
]


def test_full_profile_has_the_sizes_of_the_thesis_and_the_released_code() -> None:
    full = get_profile("full")
    assert resolved(full.plan_of("flowavenet").network) == {
        "blocks": 4,
        "flows": 6,
        "layers": 10,
        "width": 32,
        "kernel_size": 3,
        "split_every": 2,
    }
    train = full.plan_of("flowavenet").train
    assert (train.steps, train.batch_size, train.crop) == (168_040, 5, 16_384)
    assert (train.learning_rate, train.decay, len(train.milestones)) == (1e-4, 0.6, 5)
    assert (train.clip_value, train.clip_norm, train.noise_sigma) == (30.0, None, 0.0)
    plan = full.plan
    for evaluation, length in (
        (full.evaluation, 4000),
        (plan.noisy, 4000),
        (plan.curve, 4000),
        (plan.long, 16_384),
        (plan.long_curve, 16_384),
    ):
        assert (evaluation.signals, evaluation.length) == (1500, length)
        assert (evaluation.data_sigma, evaluation.amplitude) == (0.0, "evaluation")
    assert plan.input_lengths == (8000, 16_384)


def test_milestones_are_five_points_from_36_percent_on() -> None:
    milestones = TrainConfig().milestones
    assert milestones[0] == 0.36
    assert list(milestones) == sorted(set(milestones))
    assert milestones[-1] <= 1


def test_profiles_are_smoke_laptop_and_full_from_small_to_large() -> None:
    assert list(PROFILES) == ["smoke", "laptop", "full"]
    sizes = [
        [
            flow.network.blocks * flow.network.flows * flow.network.layers,
            wavenet.network.layers * wavenet.network.width,
            flow.train.crop,
            *[plan.steps for plan in (flow.train, flow.fine_tune, flow.scratch, flow.conditional)],
            *[plan.steps for plan in (wavenet.train, wavenet.fine_tune)],
            *[e.signals for e in (p.evaluation, p.plan.noisy, p.plan.long, p.plan.curve, p.plan.long_curve)],
        ]
        for p in PROFILES.values()
        for flow, wavenet in [(p.plan_of("flowavenet"), p.plan_of("wavenet"))]
    ]
    for smaller, larger in itertools.pairwise(sizes):
        assert all(a < b for a, b in zip(smaller, larger, strict=True))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_profile_has_lengths_that_its_flow_can_squeeze(profile: Profile) -> None:
    assert profile.name in PROFILES
    plan = profile.plan
    flow = profile.plan_of("flowavenet")
    trainings = (flow.train, flow.fine_tune, flow.scratch, flow.conditional)
    evaluations = (profile.evaluation, plan.noisy, plan.long, plan.curve, plan.long_curve)
    lengths = [t.crop for t in trainings] + [e.length for e in evaluations] + list(plan.input_lengths)
    assert not [length for length in lengths if length % flow.network.squeeze_factor]


def test_a_former_name_says_what_it_is_called_now() -> None:
    with pytest.raises(InputError, match="unknown profile 'paper'; it is now called full"):
        get_profile("paper")


@pytest.mark.parametrize(("blocks", "factor"), [(1, 2), (4, 16)])
def test_length_has_to_be_a_multiple_of_two_to_the_number_of_blocks(blocks: int, factor: int) -> None:
    assert FlowConfig(blocks=blocks).squeeze_factor == factor


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_resolved_writes_out_every_field(config: Any) -> None:
    assert list(resolved(config)) == [field.name for field in dataclasses.fields(config)]


def test_resolved_goes_into_nested_configurations_and_sequences() -> None:
    plain = resolved({"profile": get_profile("full"), "pair": (FlowConfig(), 1)})
    assert plain["profile"]["kinds"]["flowavenet"]["network"] == plain["pair"][0] == dataclasses.asdict(FlowConfig())
    assert plain["profile"]["kinds"]["flowavenet"]["train"]["milestones"] == list(TrainConfig().milestones)
    assert plain["pair"][1] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: get_profile("huge"), "unknown profile 'huge'; use one of smoke, laptop, full"),
        (
            lambda: prior_step(get_profile("smoke"), "flowavenet", objective="exakt"),
            "unknown objective 'exakt'; use one of likelihood, quarter_log_det",
        ),
        (
            lambda: prior_step(get_profile("smoke"), "wavenet", objective="exact"),
            "unknown objective 'exact'; it is now called likelihood",
        ),
        (lambda: TrainConfig(schedule="linear"), "unknown schedule 'linear'; use one of multistep, cosine"),
        (lambda: TrainConfig(noise="pink"), "unknown noise 'pink'; use one of gaussian, scaled_clamped"),
        (lambda: TrainConfig(noise="thesis"), "unknown noise 'thesis'; it is now called gaussian"),
        (lambda: TrainConfig(noise_sigma=-0.1), "noise_sigma is -0.1"),
        (lambda: TrainConfig(steps=0), "steps is 0; use at least 1"),
        (lambda: TrainConfig(batch_size=-1), "batch_size is -1"),
        (lambda: TrainConfig(crop=0), "crop is 0"),
        (lambda: TrainConfig(checkpoint_every=0), "checkpoint_every is 0"),
        (lambda: FlowConfig(blocks=0), "blocks is 0; use at least 1"),
        (lambda: FlowConfig(flows=0), "flows is 0"),
        (lambda: FlowConfig(layers=-2), "layers is -2"),
        (lambda: FlowConfig(width=0), "width is 0"),
        (lambda: FlowConfig(kernel_size=4), "kernel_size is 4; a centred kernel must be odd"),
        (lambda: FlowConfig(kernel_size=-1), "kernel_size is -1"),
        (lambda: EvalConfig(signals=0), "signals is 0"),
        (lambda: EvalConfig(length=0), "length is 0"),
        (lambda: EvalConfig(batch_size=0), "batch_size is 0"),
        (lambda: EvalConfig(data_sigma=-0.1), "data_sigma is -0.1"),
        (lambda: EvalConfig(amplitude="loud"), "unknown amplitude 'loud'; use one of evaluation, training"),
        (lambda: EvalConfig(amplitude="released"), "unknown amplitude 'released'; it is now called evaluation"),
        (lambda: ConditionalFlowConfig(sigma_min=0.0), "sigma 0.0..0.5; use 0 < sigma_min < sigma_max"),
        (lambda: ConditionalFlowConfig(sigma_min=0.5), "sigma 0.5..0.5"),
        (lambda: ConditionalFlowConfig(context=0), "context is 0; use at least 1"),
        (lambda: ConditionalFlowConfig(width=0), "width is 0"),
        (lambda: WaveNetPriorConfig("exakt"), "unknown output 'exakt'; use one of softmax, sigmoid"),
        (lambda: WaveNetPriorConfig("exact"), "unknown output 'exact'; it is now called softmax"),
        (lambda: WaveNetPriorConfig(layers=0), "layers is 0; use at least 1"),
        (lambda: WaveNetPriorConfig(width=0), "width is 0"),
        (lambda: WaveNetPriorConfig(head_width=0), "head_width is 0"),
        (lambda: WaveNetPriorConfig(kernel_size=1), "kernel_size is 1; use at least 2 to see the past"),
        (lambda: WaveNetPriorConfig(scale=0.0), "scale is 0.0; use for example 2"),
    ],
)
def test_senseless_value_is_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert message in str(error.value)
