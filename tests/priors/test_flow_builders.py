"""A flow of other parts takes a builder and a kind: one of the test's own, and those beside the FloWaveNet."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from srcsep_core.data.toy import ToyWorld
from srcsep_core.flows.base import Compose, Inverse, Transform
from srcsep_core.flows.coupling import AffineCoupling
from srcsep_core.flows.layers import Squeeze
from srcsep_core.flows.mixing import InvertibleConv
from srcsep_core.flows.multiscale import Split
from srcsep_core.nn.wavenet import GroupedConv1d
from srcsep_core.priors.flow import Flow, FlowPrior
from srcsep_core.priors.flow_kind import flow_kind
from srcsep_core.priors.flow_parts import FlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.glow import glow
from srcsep_core.priors.kinds import kind_of
from srcsep_core.priors.nice import nice
from srcsep_core.priors.realnvp import realnvp
from srcsep_core.priors.sets import Trained
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import train

Perturb = Callable[..., None]
DATA = ToyWorld(sources=("sine", "saw"))


@dataclass(frozen=True)
class MixedConfig:
    """Additive couplings after 1x1 convolutions; the `last` one is affine, as in RealNVP."""

    steps: int = 2
    last: bool = True
    squeeze_factor: int = 4


def mixed(config: MixedConfig, groups: int = 1) -> Flow:
    def steps(channels: int) -> list[Transform]:
        half = channels // 2
        made: list[Transform] = []
        for _ in range(config.steps):
            net = GroupedConv1d(half, half, groups=groups, kernel_size=3)
            made += [InvertibleConv(channels, groups=groups), AffineCoupling(net, shift_only=True)]
        affine = GroupedConv1d(half, channels, groups=groups, kernel_size=3, zero=True)
        return [*made, *([AffineCoupling(affine)] if config.last else [])]

    inner = Compose([Squeeze(), *steps(2), Inverse(Squeeze())])
    transform = Compose([Squeeze(), *steps(2), Split(inner), Inverse(Squeeze())])
    return Flow(transform, groups=groups, multiple_of=config.squeeze_factor, single=partial(mixed, config))


@pytest.fixture
def signals() -> Tensor:
    return torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@torch.no_grad()
def test_flow_of_other_parts_is_a_bijection_of_every_source(signals: Tensor) -> None:
    flow = mixed(MixedConfig(), 2).double().eval()
    terms = flow.source_terms(signals)
    back = flow.inverse(terms.z.reshape(-1, 1, 16)).view_as(signals)
    torch.testing.assert_close(back, signals, rtol=0, atol=1e-10)
    one = FlowPrior(flow.extract(1)).log_prob_map(signals[:, 1:])
    torch.testing.assert_close(one, (terms.log_pz + terms.log_det)[:, 1], rtol=0, atol=1e-12)


def test_flow_of_other_parts_is_trained_and_loaded_as_a_kind(tmp_path: Path) -> None:
    kind, config = flow_kind("mixed", "mixed", MixedConfig, mixed), MixedConfig()
    training = TrainConfig(steps=30, batch_size=8, crop=32, learning_rate=1e-2, checkpoint_every=30)
    task = kind.task(config, 2, "likelihood")
    trained = train(task, DATA, training, device=torch.device("cpu"), work_folder=tmp_path)
    loss = trained.curve.pivot(index="step", columns="source", values="loss")
    assert (loss.iloc[-1] < loss.iloc[0]).all()
    about = Trained(DATA.sources, DATA, 0.0, pd.DataFrame(), tmp_path)
    priors = kind.load(config, trained.network.state_dict(), about, torch.device("cpu"))
    x = DATA.draw(3, 32, torch.Generator().manual_seed(1))
    own = torch.stack([priors.prior(name).log_prob(x[:, k : k + 1]) for k, name in enumerate(DATA.sources)], dim=1)
    torch.testing.assert_close(priors.likelihoods(x)["log_prob"].float(), own / 32)  # type: ignore[attr-defined]


def test_transform_without_its_two_directions_cannot_be_made() -> None:
    class OneWay(Transform):
        def forward_map(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return x, x.new_zeros(())

    with pytest.raises(TypeError, match="inverse_map"):
        OneWay()  # type: ignore[abstract]


SIZE = FlowConfig(blocks=3, flows=2, layers=2, width=4)


@torch.no_grad()
def test_nice_changes_volumes_by_one_number_and_others_by_the_signal(signals: Tensor, perturb: Perturb) -> None:
    spreads = {}
    for build in (nice, realnvp, flowavenet, glow):
        flow = build(SIZE, 2).double().eval()
        perturb(flow)
        terms = flow.source_terms(signals)
        spreads[build.__name__] = float(
            (terms.log_pz - flow.base.log_prob(terms.z) + terms.log_det).sum(dim=2).std(0).max()
        )
    assert spreads.pop("nice") < 1e-10
    assert min(spreads.values()) > 1e-3


@torch.no_grad()
def test_realnvp_is_a_flowavenet_whose_leaving_channels_have_a_standard_normal(
    signals: Tensor, perturb: Perturb
) -> None:
    whole, plain = flowavenet(SIZE, 2).double().eval(), realnvp(SIZE, 2).double().eval()
    perturb(whole)
    state = {name: value for name, value in whole.state_dict().items() if name in plain.state_dict()}
    plain.load_state_dict(state)
    assert len(state) < len(whole.state_dict())
    ours, theirs = plain.source_terms(signals), whole.source_terms(signals)
    torch.testing.assert_close(ours.log_det, theirs.log_det)
    kept = (theirs.log_pz - whole.base.log_prob(theirs.z)) == 0
    assert 0 < kept.double().mean() < 1
    assert torch.equal(ours.log_pz, plain.base.log_prob(ours.z))


@torch.no_grad()
def test_a_fresh_glow_rotates_channels_and_the_others_only_move_them(signals: Tensor) -> None:
    for build in (nice, realnvp, flowavenet):
        z = build(SIZE, 2).double().eval().source_terms(signals).z
        torch.testing.assert_close(z.sort(dim=2).values, signals.sort(dim=2).values)
    z = glow(SIZE, 2).double().eval().source_terms(signals).z
    torch.testing.assert_close(z.norm(dim=2), signals.norm(dim=2), rtol=0, atol=1e-5)  # drawn in float32
    assert (z.sort(dim=2).values - signals.sort(dim=2).values).abs().max() > 0.01


@pytest.mark.parametrize("name", ["nice", "realnvp", "glow"])
def test_kinds_beside_the_papers_have_one_objective_and_no_sampler(name: str) -> None:
    kind = kind_of(name)
    assert kind.objectives == ("likelihood",) and kind.density and not kind.scored and not kind.ladder
