"""A flow of other parts takes a builder and a kind: here of additive couplings and 1x1 convolutions."""

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
from srcsep_core.priors.sets import Trained
from srcsep_core.training.config import TrainConfig
from srcsep_core.training.loop import train

DATA = ToyWorld(sources=("sine", "saw"))


@dataclass(frozen=True)
class NiceConfig:
    """Additive couplings after 1x1 convolutions; the `last` one is affine, as in RealNVP."""

    steps: int = 2
    last: bool = True
    squeeze_factor: int = 4


def nice(config: NiceConfig, groups: int = 1) -> Flow:
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
    return Flow(transform, groups=groups, multiple_of=config.squeeze_factor, single=partial(nice, config))


@pytest.fixture
def signals() -> Tensor:
    return torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@torch.no_grad()
def test_flow_of_other_parts_is_a_bijection_of_every_source(signals: Tensor) -> None:
    flow = nice(NiceConfig(), 2).double().eval()
    terms = flow.source_terms(signals)
    back = flow.inverse(terms.z.reshape(-1, 1, 16)).view_as(signals)
    torch.testing.assert_close(back, signals, rtol=0, atol=1e-10)
    one = FlowPrior(flow.extract(1)).log_prob_map(signals[:, 1:])
    torch.testing.assert_close(one, (terms.log_pz + terms.log_det)[:, 1], rtol=0, atol=1e-12)


def test_flow_of_other_parts_is_trained_and_loaded_as_a_kind(tmp_path: Path) -> None:
    kind, config = flow_kind("nice", "nice", NiceConfig, nice), NiceConfig()
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
