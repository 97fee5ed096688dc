"""Sets of priors: the right value under the right protocol, whatever the model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from srcsep_core.data.toy import ToyWorld, draw_test_set
from srcsep_core.errors import InputError
from srcsep_core.nn.mu_law import mu_law_net
from srcsep_core.priors.flow_kind import FlowSet
from srcsep_core.priors.flow_parts import ConditionalFlowConfig, FlowConfig
from srcsep_core.priors.flowavenet import flowavenet
from srcsep_core.priors.oracle import OraclePrior, OracleSet
from srcsep_core.priors.wavenet import WaveNetPriorConfig, WaveNetSet

Perturb = Callable[..., None]

DATA = ToyWorld(sources=("sine", "square", "saw"))
FLOW = FlowConfig(blocks=2, flows=1, layers=1, width=2)
CONDITIONAL = ConditionalFlowConfig(blocks=2, flows=1, layers=1, width=2, context=2)
WAVENET = WaveNetPriorConfig(layers=2, width=4, head_width=4)
LENGTH = 32


@pytest.fixture
def flows(perturb: Perturb) -> FlowSet:
    return flow_priors(FLOW, perturb)


@pytest.fixture
def wavenets(perturb: Perturb) -> WaveNetSet:
    return wavenet_set(WAVENET, perturb)


@pytest.fixture
def signals(generator: torch.Generator) -> Tensor:
    x = draw_test_set(DATA, 5, LENGTH, seed=0)
    return x + 0.1 * torch.randn(x.shape, generator=generator)


def made(net: nn.Module, perturb: Perturb) -> dict[str, object]:
    """A perturbed network in evaluation mode, and what a set says about it."""
    perturb(net.eval())
    about = {"sources": DATA.sources, "data": DATA, "sigma": 0.0, "curve": pd.DataFrame()}
    return about | {"folder": Path()}


def flow_priors(config: FlowConfig, perturb: Perturb) -> FlowSet:
    flow = flowavenet(config, 3)
    return FlowSet(flow=flow, **made(flow, perturb))  # type: ignore[arg-type]


def wavenet_set(config: WaveNetPriorConfig, perturb: Perturb) -> WaveNetSet:
    net = mu_law_net(config, 3)
    return WaveNetSet(net=net, **made(net, perturb))  # type: ignore[arg-type]


# Values


@torch.no_grad()
def test_log_prob_less_log_pz_of_a_flow_is_its_log_determinant(flows: FlowSet, signals: Tensor) -> None:
    found = flows.likelihoods(signals)
    terms = flows.flow.source_terms(signals)
    log_det = terms.log_det.double().mean(dim=2)
    assert log_det.abs().median() > 1e-3
    torch.testing.assert_close(found["log_prob"] - found["log_pz"], log_det, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["log_pz"], terms.log_pz.double().mean(dim=2), rtol=0, atol=1e-12)


@torch.no_grad()
def test_mean_sigmoid_of_a_wavenet_is_what_its_network_reports(perturb: Perturb, signals: Tensor) -> None:
    priors = wavenet_set(replace(WAVENET, output="sigmoid"), perturb)
    found = priors.likelihoods(signals)["mean_sigmoid"]
    torch.testing.assert_close(found, priors.net.reported(signals).double())
    assert (found > 0).all() and (found < 1).all()


def test_oracle_value_is_the_true_log_density_by_sample(signals: Tensor) -> None:
    data, signals = DATA.only(("sine", "saw")), signals[:, :2]
    found = OracleSet(data, 0.129).likelihoods(signals)["oracle"]
    for g, source in enumerate(data.sources):
        expected = OraclePrior(source, data, 0.129).log_prob(signals[:, g : g + 1]) / LENGTH
        torch.testing.assert_close(found[:, g], expected)


# Levels


@torch.no_grad()
def test_set_of_a_conditional_flow_can_be_asked_at_another_level(perturb: Perturb, signals: Tensor) -> None:
    priors = flow_priors(CONDITIONAL, perturb)
    for sigma in (0.01, 0.359):
        there = priors.at(sigma)
        expected = priors.flow.log_prob(signals, sigma).double() / LENGTH
        torch.testing.assert_close(there.likelihoods(signals)["log_prob"], expected, rtol=0, atol=1e-5)
        assert (there.sigma, there.prior("saw").sigma) == (sigma, sigma)
        assert there.flow is priors.flow
    assert priors.sigma == 0
    low, high = (priors.at(sigma).likelihoods(signals)["log_prob"] for sigma in (0.01, 0.359))
    assert not torch.isclose(low, high).all(dim=0).any()


def test_number_of_sources_has_to_be_that_of_the_set(flows: FlowSet, wavenets: WaveNetSet) -> None:
    for priors in (flows, wavenets):
        with pytest.raises(InputError, match=r"expected 3 channel\(s\), got 2"):
            priors.likelihoods(torch.zeros(1, 2, LENGTH))
